package app

import (
	"os"
	"strings"

	"github.com/understudy-worker/understudy/reload"
)

// checkToken finds out before anybody asks that the token cannot be used.
func checkToken(config reload.HTTP) error {
	read := tokenOf(config)
	if read == nil {
		return nil
	}
	token, err := read()
	switch {
	case err != nil:
		return usagef("http.token_file: %w", err)
	case token == "":
		return usagef("http.token_file names a file that is empty: write a token to it")
	}
	return nil
}

// tokenOf reads the token anew for each request; nil if none is asked for.
func tokenOf(config reload.HTTP) func() (string, error) {
	if config.TokenFile == "" {
		return nil
	}
	return func() (string, error) {
		token, err := os.ReadFile(config.TokenFile)
		if err != nil {
			err = reload.SecretFileError(config.TokenFile, err)
		}
		return strings.TrimSpace(string(token)), err
	}
}
