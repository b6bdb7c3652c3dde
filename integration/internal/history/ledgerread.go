package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Read reads the runs of a ledger, in the order in which they began. A torn
// last line was being written when the process was killed: nobody acted on it.
func Read(path string) ([]Run, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a ledger: %w", err)
	}
	defer file.Close()
	runs, err := readRuns(bufio.NewReaderSize(file, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("read ledger %s: %w", path, err)
	}
	return runs, nil
}

func readRuns(from *bufio.Reader) ([]Run, error) {
	var runs []Run
	for number := 1; ; number++ {
		text, err := from.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF):
			return runs, nil
		case err != nil:
			return nil, err
		}
		if runs, err = addLine(runs, text); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
}

// addLine adds what one line says. Runs are numbered from 1, without gaps.
func addLine(runs []Run, text []byte) ([]Run, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, err
	}
	last := int64(len(runs))
	switch {
	case l.Begin != nil && l.End == nil && l.Run == last+1:
		return append(runs, *l.Begin), nil
	case l.End != nil && l.Begin == nil && l.Run >= 1 && l.Run <= last:
		r := &runs[l.Run-1]
		r.EndedAt, r.Outcome, r.Error = l.End.At, l.End.Outcome, l.End.Error
		return runs, nil
	}
	return nil, fmt.Errorf("%q is neither the beginning of run %d nor the end of one before", text, last+1)
}
