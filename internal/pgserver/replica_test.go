package pgserver

import "testing"

func TestAReplicaFollowsIsPromotedAndFollowedInTurn(t *testing.T) {
	t.Parallel()
	a := start(t, Options{})
	b, err := a.Replica(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	mustExec(t, connect(t, a), "CREATE TABLE notes (note text); INSERT INTO notes VALUES ('by a')")
	replica := connect(t, b)
	eventually(t, "the replica has what was written", func() bool {
		return query[bool](t, replica, "SELECT to_regclass('notes') IS NOT NULL")
	})
	if !query[bool](t, replica, "SELECT pg_is_in_recovery()") {
		t.Error("the replica is no standby")
	}
	if err := a.Halt(false); err != nil {
		t.Fatal(err)
	}
	if err := b.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustExec(t, replica, "INSERT INTO notes VALUES ('by b')")
	if err := a.Follow(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	old := connect(t, a)
	eventually(t, "the old primary follows", func() bool { return query[int](t, old, "SELECT count(*) FROM notes") == 2 })
}
