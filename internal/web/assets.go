package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed assets
var assetFiles embed.FS

// assets are the files that pages refer to, by path.
var assets = readAssets()

// asset is one file. Its reference changes with its content, so that browsers
// may keep it.
type asset struct {
	content       []byte
	kind, version string
}

func readAssets() map[string]asset {
	all := map[string]asset{}
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic(err) // of the embedded directory
	}
	for _, entry := range entries {
		name := "assets/" + entry.Name()
		content, err := fs.ReadFile(assetFiles, name)
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(content)
		all["/"+name] = asset{content, kinds[path.Ext(name)], hex.EncodeToString(sum[:6])}
	}
	return all
}

// kinds are what the assets are, by extension. The machine is not asked: it may
// know other kinds, and to read them takes longer than all else at the start.
var kinds = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("ETag", `"`+a.version+`"`)
	if r.URL.RawQuery == "v="+a.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}

// assetURL is how pages refer to a file of assets.
func assetURL(name string) string {
	path := "/assets/" + name
	return path + "?v=" + assets[path].version
}

// build changes when any asset does: a page that is open with other ones than
// its stream comes from is out of date.
var build = func() string {
	sum := sha256.New()
	for _, name := range []string{"live.js", "style.css"} {
		sum.Write(assets["/assets/"+name].content)
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}()
