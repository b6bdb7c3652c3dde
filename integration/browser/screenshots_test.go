package browser_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// screenshots is where pictures go: make screenshots.
var screenshots = flag.String("screenshots", "", "directory to write pictures of every page to")

// picture takes a picture of the whole page, if pictures are wanted.
func (tb *tab) picture(name string) {
	tb.t.Helper()
	if *screenshots == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		tb.prefers("prefers-color-scheme", scheme)
		image, err := chromedp.Run(tb.ctx, chromedp.FullScreenshot(100))
		tb.must(err)
		tb.must(os.WriteFile(filepath.Join(*screenshots, name+"-"+scheme+".png"), image, 0o644))
	}
}

func TestTheWorkersPageIsPictured(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := s.start("preview", "--handlers.send-invoice.type=sleep")
	tb := open(t, w.url("/"), desktop)
	tb.says("#band", "Serving preview")
	tb.picture("worker-preview")
}
