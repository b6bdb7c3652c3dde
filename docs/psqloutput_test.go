package docs_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// psqlOutput is what psql prints of the results of a query string, but for
// command tags and empty lines.
func psqlOutput(results []*pgconn.Result, err error) string {
	var out strings.Builder
	for _, result := range results {
		if len(result.FieldDescriptions) > 0 {
			out.WriteString(psqlTable(result))
		}
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		fmt.Fprintf(&out, "%s:  %s\n", pgErr.Severity, pgErr.Message)
		if pgErr.Hint != "" {
			fmt.Fprintf(&out, "HINT:  %s\n", pgErr.Hint)
		}
	} else if err != nil {
		fmt.Fprintln(&out, err)
	}
	return out.String()
}

// psqlTable is one result in psql's aligned format (print_aligned_text in
// Postgres's src/fe_utils/print.c).
func psqlTable(result *pgconn.Result) string {
	widths := make([]int, len(result.FieldDescriptions))
	for i, field := range result.FieldDescriptions {
		widths[i] = utf8.RuneCountInString(field.Name)
		for _, row := range result.Rows {
			widths[i] = max(widths[i], utf8.RuneCount(row[i]))
		}
	}
	var header, rule []string
	for i, field := range result.FieldDescriptions {
		space := widths[i] - utf8.RuneCountInString(field.Name)
		header = append(header, strings.Repeat(" ", space/2)+field.Name+strings.Repeat(" ", (space+1)/2))
		rule = append(rule, strings.Repeat("-", widths[i]+2))
	}
	lines := []string{psqlLine(header), strings.Join(rule, "+")}
	for _, row := range result.Rows {
		lines = append(lines, psqlRow(result, row, widths))
	}
	count := fmt.Sprintf("(%d rows)", len(result.Rows))
	if len(result.Rows) == 1 {
		count = "(1 row)"
	}
	return strings.Join(append(lines, count), "\n") + "\n"
}

func psqlRow(result *pgconn.Result, row [][]byte, widths []int) string {
	var cells []string
	for i, field := range result.FieldDescriptions {
		space := strings.Repeat(" ", widths[i]-utf8.RuneCount(row[i]))
		if slices.Contains(numbers, field.DataTypeOID) {
			cells = append(cells, space+string(row[i]))
		} else {
			cells = append(cells, string(row[i])+space)
		}
	}
	return psqlLine(cells)
}

func psqlLine(cells []string) string {
	return strings.TrimRight(" "+strings.Join(cells, " | "), " ")
}

// numbers are the types that psql aligns to the right.
var numbers = []uint32{pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID}
