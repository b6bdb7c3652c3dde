package store

import (
	"regexp"
	"strings"
)

// lexeme is what in a file of SQL may hold words that are no keywords: comments,
// quoted texts and names, and the tag before a dollar-quoted text.
var lexeme = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?:[A-Za-z_]\w*)?\$`)

// bare is a file's text without those.
func bare(text string) string {
	var out strings.Builder
	for {
		at := lexeme.FindStringIndex(text)
		if at == nil {
			return out.String() + text
		}
		out.WriteString(text[:at[0]] + " ")
		token := text[at[0]:at[1]]
		text = text[at[1]:]
		if strings.HasPrefix(token, "$") {
			_, text, _ = strings.Cut(text, token)
		}
	}
}

var (
	concurrently = regexp.MustCompile(`(?i)\bconcurrently\b`)
	// ends are the first words of statements that may end a transaction, or cannot
	// be in one.
	ends      = regexp.MustCompile(`(?i)^\s*(begin|start|commit|end|rollback|abort|prepare|call|vacuum|create\s+database|drop\s+database|alter\s+system|reindex|cluster)\b`)
	anonymous = regexp.MustCompile(`(?i)^\s*do\b`)
	endsInDo  = regexp.MustCompile(`(?i)\b(commit|rollback)\b`)
)

// isConcurrent says whether a file builds or drops an index beside others' work.
func isConcurrent(text string) bool { return concurrently.MatchString(bare(text)) }

// isOneTransaction says whether nothing of a file has taken effect when it failed.
// Where that is not certain it says no.
func isOneTransaction(text string) bool {
	if isConcurrent(text) {
		return false
	}
	for statement := range strings.SplitSeq(bare(text), ";") {
		if ends.MatchString(statement) || anonymous.MatchString(statement) && endsInDo.MatchString(text) {
			return false
		}
	}
	return true
}
