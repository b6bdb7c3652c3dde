package pgserver

import "syscall"

// dieWithParent makes the kernel end the program when this process dies,
// even by SIGKILL. SIGQUIT is Postgres's immediate shutdown: it takes its
// children and its shared memory along, which SIGKILL would leave.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
