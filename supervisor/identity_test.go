package supervisor

import "testing"

func TestWhatIdentifiesAPlaceIsNotWhatItsCopiesShare(t *testing.T) {
	t.Parallel()
	base := identity{system: "1", start: "100.5", database: "shop", schema: "production"}
	for name, test := range map[string]struct {
		change func(*identity)
		want   likeness
	}{
		"itself":                            {func(*identity) {}, same},
		"another database":                  {func(i *identity) { i.database = "other" }, different},
		"another schema":                    {func(i *identity) { i.schema = "other" }, different},
		"another cluster":                   {func(i *identity) { i.system, i.start = "2", "200" }, different},
		"a copy, or itself after a restart": {func(i *identity) { i.start = "200" }, unclear},
		"its standby":                       {func(i *identity) { i.start, i.recovering = "200", true }, same},
		"itself by a login that is not told the cluster":  {func(i *identity) { i.system = "" }, same},
		"another by a login that is not told the cluster": {func(i *identity) { i.system, i.start = "", "200" }, unclear},
	} {
		other := base
		test.change(&other)
		if got, back := base.compare(other), other.compare(base); got != test.want || back != test.want {
			t.Errorf("%s: %v, and the other way %v, want %v", name, got, back, test.want)
		}
	}
}
