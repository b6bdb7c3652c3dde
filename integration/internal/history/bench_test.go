package history

import "testing"

// large is a story of many jobs, each lost once and then completed.
func large(jobs int) story {
	s := rehearsed()
	p := s.place(production)
	for id := range int64(jobs) {
		s.job(p.Name, 1000+id, "slow").seen("b2", 1, 19, 0, "").lost("b2", 19, 23).worked("b3", 2, 24, 25)
	}
	return s
}

func TestManyJobsAreJudgedAsFew(t *testing.T) {
	t.Parallel()
	if v := large(3000).Check(); v.Count > 0 || v.Runs != 6146 {
		t.Errorf("verdict:\n%s", v)
	}
}

func BenchmarkCheck(b *testing.B) {
	s := large(300_000)
	for b.Loop() {
		if v := s.Check(); v.Count > 0 {
			b.Fatal(v)
		}
	}
}
