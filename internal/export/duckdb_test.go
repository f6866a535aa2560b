package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/internal/mapping"
)

// duckdbFiles are what DuckDB is installed and run by.
var duckdbFiles = []string{"package.json", "package-lock.json", "query.mjs"}

// duckdbFolder has DuckDB installed by npm, once for each version of duckdbFiles.
func duckdbFolder(t *testing.T) string {
	t.Helper()
	all := sha256.New()
	files := map[string][]byte{}
	for _, name := range duckdbFiles {
		data, err := os.ReadFile(filepath.Join("duckdb", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
		all.Write(data)
	}
	cache, err := filepath.Abs("../../.cache")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, "duckdb-"+hex.EncodeToString(all.Sum(nil)[:6]))
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	// Made aside and moved, so that what is there is whole, whoever else is installing.
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	aside, err := os.MkdirTemp(cache, "duckdb-*.tmp") //nolint:usetesting // it is moved, which needs one file system
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(aside)
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(aside, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, aside, nil, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	if err := os.Rename(aside, folder); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	return folder
}

// run runs a program that comes with Node; without it the tests fail.
func run(t *testing.T, folder string, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var errs bytes.Buffer
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Stdin, c.Stderr = folder, bytes.NewReader(stdin), &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%sReading Parquet back with DuckDB needs Node 20 or newer, npm and its registry.", name, strings.Join(args, " "), err, out, &errs)
	}
	return out
}

// answer is what DuckDB says to a query: 64-bit integers and times as text.
type answer struct {
	Columns []string
	Rows    [][]any
	Error   string
}

// ask runs queries in a folder of files.
func ask(t *testing.T, folder string, queries ...string) []answer {
	t.Helper()
	input, err := json.Marshal(map[string]any{"folder": folder, "queries": queries})
	if err != nil {
		t.Fatal(err)
	}
	var answers []answer
	if err := json.Unmarshal(run(t, duckdbFolder(t), input, "node", "query.mjs"), &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers) != len(queries) {
		t.Fatalf("%d answers to %d queries", len(answers), len(queries))
	}
	for i, a := range answers {
		if a.Error != "" {
			t.Fatalf("%s\n%s", a.Error, queries[i])
		}
	}
	return answers
}

// parquetFiles writes every export into a folder, and gives the rows as NDJSON has them.
func parquetFiles(t *testing.T) (folder string, rows map[string][]map[string]any) {
	t.Helper()
	f, folder := filled(t), t.TempDir()
	rows = map[string][]map[string]any{}
	for _, name := range written {
		o := Options{Name: name, State: "all", Scope: "all"}
		rows[name] = rowsOf(t, f, o)
		o.Format = "parquet"
		if err := os.WriteFile(filepath.Join(folder, name+".parquet"), []byte(write(t, f, o)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder, rows
}

// duckdbTypes are those of docs/exports.md.
var duckdbTypes = map[form]string{formText: "VARCHAR", formList: "VARCHAR[]", formTime: "TIMESTAMP WITH TIME ZONE", formInteger: "BIGINT", formNumber: "DOUBLE", formBoolean: "BOOLEAN", formJSON: "JSON"}

// TestDuckDB: another reader finds in every export the columns, the types and the rows of
// NDJSON, in its order, and adds up the same.
func TestDuckDB(t *testing.T) {
	folder, rows := parquetFiles(t)
	var queries []string
	for _, name := range written {
		var exact, sums []string
		for _, c := range exports[name].columns {
			exact = append(exact, exactly(c))
			sums = append(sums, sum(c))
		}
		file := " FROM '" + name + ".parquet'"
		queries = append(queries, "DESCRIBE SELECT *"+file, "SELECT "+strings.Join(exact, ", ")+file, "SELECT count(*)::INTEGER, "+strings.Join(sums, ", ")+file)
	}
	answers := ask(t, folder, queries...)
	for i, name := range written {
		described, exact, sums := answers[3*i].Rows, answers[3*i+1], answers[3*i+2]
		columns := exports[name].columns
		want := make([][]any, 0, len(rows[name]))
		totals := append([]any{float64(len(rows[name]))}, make([]any, len(columns))...)
		for n, c := range columns {
			if n >= len(described) || described[n][0] != c.name || described[n][1] != duckdbTypes[c.form] {
				t.Fatalf("column %d of %s is %v to DuckDB, want %s %s", n, name, described[n:], c.name, duckdbTypes[c.form])
			}
			totals[n+1] = total(t, c, rows[name])
		}
		for _, row := range rows[name] {
			var cells []any
			for _, c := range columns {
				cells = append(cells, inDuckDB(t, c, row[c.name]))
			}
			want = append(want, cells)
		}
		if diff := cmp.Diff(want, decodeJSON(t, columns, exact.Rows)); diff != "" {
			t.Errorf("%s (-NDJSON +DuckDB):\n%s", name, diff)
		}
		if diff := cmp.Diff([][]any{totals}, sums.Rows); diff != "" {
			t.Errorf("%s: count and sums (-NDJSON +DuckDB):\n%s", name, diff)
		}
	}
}

// exactly selects a column so that nothing is lost on its way here.
func exactly(c heading) string {
	if c.form == formTime {
		return fmt.Sprintf(`epoch_us("%s")::VARCHAR`, c.name)
	}
	return `"` + c.name + `"`
}

// sum adds up what can be added of a column: lengths of lists and texts, microseconds,
// numbers, how many are true.
func sum(c heading) string {
	format := `(count("%s") FILTER ("%[1]s" IS NOT NULL))::DOUBLE`
	switch c.form {
	case formText:
		format = `sum(length("%s"))::DOUBLE`
	case formList:
		format = `sum(length("%s"))::DOUBLE`
	case formTime:
		format = `sum(epoch_us("%s"))::DOUBLE`
	case formInteger, formNumber:
		format = `sum("%s")::DOUBLE`
	case formBoolean:
		format = `(count(*) FILTER ("%s"))::DOUBLE`
	}
	return fmt.Sprintf(format, c.name)
}

// total is what sum must give; null where nothing was added.
func total(t *testing.T, c heading, rows []map[string]any) any {
	t.Helper()
	all, added := 0.0, c.form == formJSON || c.form == formBoolean
	for _, row := range rows {
		v := row[c.name]
		if v == nil {
			continue
		}
		added = true
		switch v := v.(type) {
		case string:
			switch c.form {
			case formTime:
				all += float64(micros(t, v))
			case formText:
				all += float64(len([]rune(v)))
			default:
				all++
			}
		case []any:
			if c.form == formJSON {
				all++
			} else {
				all += float64(len(v))
			}
		case bool:
			if v || c.form == formJSON {
				all++
			}
		case float64:
			if c.form == formJSON {
				v = 1
			}
			all += v
		default:
			all++
		}
	}
	if !added {
		return nil
	}
	return all
}

// inDuckDB is a cell of NDJSON as DuckDB hands it over.
func inDuckDB(t *testing.T, c heading, v any) any {
	t.Helper()
	switch n := v.(type) {
	case string:
		if c.form == formTime {
			return strconv.FormatInt(micros(t, n), 10)
		}
	case float64:
		if c.form == formInteger {
			return strconv.FormatInt(int64(n), 10)
		}
	}
	return v
}

func micros(t *testing.T, text string) int64 {
	t.Helper()
	at, err := time.Parse(mapping.TimeLayout, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMicro()
}

// decodeJSON decodes the columns that DuckDB gives as JSON text.
func decodeJSON(t *testing.T, columns []heading, rows [][]any) [][]any {
	t.Helper()
	for _, row := range rows {
		for i, c := range columns {
			text, ok := row[i].(string)
			if c.form != formJSON || !ok {
				continue
			}
			row[i] = nil
			if err := json.Unmarshal([]byte(text), &row[i]); err != nil {
				t.Fatalf("%s: %v in %q", c.name, err, text)
			}
		}
	}
	return rows
}

// largeRows are those of three row groups.
const largeRows = 2*groupRows + 2000

// TestDuckDBLarge lets DuckDB itself compare a file of several row groups and pages with
// the NDJSON of the same rows, and read a file without rows.
func TestDuckDBLarge(t *testing.T) {
	columns := []heading{
		{name: "id", form: formInteger, never: true},
		{name: "text", form: formText},
		{name: "many", form: formText, never: true},
		{name: "list", form: formList},
		{name: "full", form: formList, never: true},
		{name: "at", form: formTime},
		{name: "number", form: formNumber},
		{name: "flag", form: formBoolean},
		{name: "json", form: formJSON},
	}
	folder := t.TempDir()
	for _, format := range []string{"ndjson", "parquet"} {
		file, err := os.Create(filepath.Join(folder, "large."+format))
		if err != nil {
			t.Fatal(err)
		}
		w := newWriter(file, Options{Name: "large", Format: format})
		err = w.header(columns)
		for i := 0; err == nil && i < largeRows; i++ {
			err = w.row(largeRow(i))
		}
		if err := errors.Join(err, w.flush(), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	empty, err := sample(t, columns)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "empty.parquet"), empty, 0o644); err != nil {
		t.Fatal(err)
	}
	const ndjson = `read_json('large.ndjson', format = 'newline_delimited', columns = {id: 'BIGINT', text: 'VARCHAR', many: 'VARCHAR', list: 'VARCHAR[]', "full": 'VARCHAR[]', "at": 'TIMESTAMPTZ', number: 'DOUBLE', flag: 'BOOLEAN', json: 'JSON'})`
	answers := ask(t, folder,
		"SELECT count(*)::INTEGER, count(DISTINCT id)::INTEGER, count(text) > 0, sum(len(list))::INTEGER, bool_or(flag), max(\"at\")::VARCHAR FROM 'large.parquet'",
		"SELECT count(*)::INTEGER, count(DISTINCT id)::INTEGER, count(text) > 0, sum(len(list))::INTEGER, bool_or(flag), max(\"at\")::VARCHAR FROM "+ndjson,
		"SELECT count(*)::INTEGER FROM 'large.parquet' p JOIN "+ndjson+` n USING (id) WHERE p.text IS DISTINCT FROM n.text OR p.many IS DISTINCT FROM n.many OR p.list IS DISTINCT FROM n.list OR p."full" IS DISTINCT FROM n."full"
			OR p."at" IS DISTINCT FROM n."at" OR p.number IS DISTINCT FROM n.number OR p.flag IS DISTINCT FROM n.flag OR p.json::VARCHAR IS DISTINCT FROM n.json::VARCHAR`,
		"SELECT num_row_groups::INTEGER, created_by FROM parquet_file_metadata('large.parquet')",
		"SELECT DISTINCT compression FROM parquet_metadata('large.parquet')",
		"SELECT count(*)::INTEGER FROM (SELECT id, file_row_number FROM read_parquet('large.parquet', file_row_number = true)) WHERE id <> file_row_number",
		"SELECT count(*)::INTEGER, count(list)::INTEGER FROM 'empty.parquet'")
	if diff := cmp.Diff(answers[1].Rows, answers[0].Rows); diff != "" {
		t.Errorf("sums (-NDJSON +Parquet):\n%s", diff)
	}
	for i, want := range map[int][][]any{2: {{0.0}}, 3: {{3.0, "muster version 1(build parquet)"}}, 4: {{"ZSTD"}}, 5: {{0.0}}, 6: {{0.0, 0.0}}} {
		if diff := cmp.Diff(want, answers[i].Rows); diff != "" {
			t.Errorf("answer %d (-want +got):\n%s", i, diff)
		}
	}
	if got := answers[0].Rows[0][0]; got != float64(largeRows) {
		t.Errorf("%v rows", got)
	}
}

// largeRow has absent cells, empty lists, texts that repeat and that do not.
func largeRow(i int) []cell {
	paths := make([]string, i%4)
	for n := range paths {
		paths[n] = fmt.Sprintf(`C:\%d\ä "%d"`, i%1000/7, n)
	}
	row := []cell{
		integer(int64(i)), text(fmt.Sprintf("machine %d", i/100)), text(fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)}))), list(paths), list(paths[:i%4/2]),
		instant(day0.Add(time.Duration(i) * 1234567 * time.Microsecond)),
		{kind: jsonText, text: strconv.FormatFloat(float64(i%101)/10, 'f', -1, 64)},
		boolean(i%3 == 0),
		{kind: jsonText, text: fmt.Sprintf(`{"n":%d}`, i%17)},
	}
	for n := range row {
		if (i>>n)%11 == 3 && n != 0 && n != 2 && n != 4 {
			row[n] = cell{}
		}
	}
	return row
}

// TestDuckDBExamples runs every example of the page, each of which must find something.
func TestDuckDBExamples(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var queries []string
	named := map[string]bool{}
	for i, block := range strings.Split(string(data), "```sql\n") {
		sql, _, closed := strings.Cut(block, "```")
		if i == 0 || !closed {
			continue
		}
		queries = append(queries, sql)
		for _, name := range written {
			named[name] = named[name] || strings.Contains(sql, "'"+name+".parquet'")
		}
	}
	for _, name := range written {
		if !named[name] {
			t.Errorf("%s has no example of %s", page, name)
		}
	}
	folder, _ := parquetFiles(t)
	var b strings.Builder
	for i, a := range ask(t, folder, queries...) {
		if len(a.Rows) == 0 {
			t.Errorf("an example finds nothing:\n%s", queries[i])
		}
		fmt.Fprintf(&b, "%s%s\n", queries[i], strings.Join(a.Columns, " | "))
		for _, row := range a.Rows {
			line, err := json.Marshal(row)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s\n", line)
		}
		b.WriteByte('\n')
	}
	golden(t, filepath.Join("testdata", "examples.txt"), b.String())
}
