package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the operating system's user that the server runs as. The nil
// account is the user of this process.
type account struct {
	name       string
	credential syscall.Credential
}

// unprivileged returns the account to run the server as: Postgres refuses to
// run as root, so root needs another user.
func unprivileged() (*account, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("user %q: %w", name, err)
		}
		return &account{name, syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, errors.New("root cannot run Postgres, and there is no user postgres or nobody to run it as: start this as another user")
}

// own makes the account the owner of a file.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.credential.Uid), int(a.credential.Gid))
}

// reach says which directory on the way to dir is closed to the account.
func (a *account) reach(dir string) error {
	if a == nil {
		return nil
	}
	for dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode()&0o001 == 0 {
			return fmt.Errorf("directory %q is closed to user %q, who runs Postgres for root: set TMPDIR to one that is open to all", dir, a.name)
		}
	}
	return nil
}
