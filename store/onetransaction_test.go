package store

import "testing"

func TestAFileIsOneTransactionWhereNothingInItCanEndOne(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": true,
		"CREATE TABLE a (n int); ALTER TABLE a ADD COLUMN m int":                                            true,
		"-- commit;\nSELECT 'commit; begin', \"commit\" /* ; commit; */":                                    true,
		"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN; RETURN 1; END; $body$; SELECT 1": true,
		"DO $$ BEGIN PERFORM 1; END $$":                                                                     true,
		"SELECT CASE WHEN true THEN 1 END":                                                                  true,
		"DO $$ BEGIN COMMIT; END $$":                                                                        false,
		"CREATE TABLE a (n int); COMMIT; SELECT 1":                                                          false,
		"begin; CREATE TABLE a (n int); end":                                                                false,
		"create index concurrently i on a (n)":                                                              false,
		"CALL p()":                                                                                          false,
		"SELECT 1; VACUUM a":                                                                                false,
	} {
		if got := isOneTransaction(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
