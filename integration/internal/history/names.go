package history

// What a test tells a worker process through its environment, besides POD_NAME.
const (
	FileVariable    = "UNDERSTUDY_TEST_LEDGER"  // path of the ledger to make
	ProcessVariable = "UNDERSTUDY_TEST_PROCESS" // number of the process among those of its pod
)

// PlaceName is what ledgers call the place of a target.
func PlaceName(target, schema string) string { return target + "/" + schema }
