package gather

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"muster"
	"muster/internal/defender"
	"muster/internal/wire"
)

// plain is a row of every kind of column.
type plain struct {
	id, a, b defender.Text
	list     []string
	texts    []defender.Text
}

var plainLayout = newLayout(muster.Software, []table[plain]{
	{name: "first", columns: []column[plain]{{name: "id", text: func(p *plain) defender.Text { return p.id }}}},
	{name: "second", columns: []column[plain]{{name: "a", text: func(p *plain) defender.Text { return p.a }}, {name: "b", text: func(p *plain) defender.Text { return p.b }}}},
	{name: "third", unknown: true, columns: []column[plain]{{name: "list", list: func(p *plain) []string { return p.list }}}},
	{name: "fourth", columns: []column[plain]{{name: "texts", texts: func(p *plain) []defender.Text { return p.texts }}}},
})

// written gives a batch's rows as texts, so that two batches can be compared.
func written(b *wire.Batch) (rows [][]string) {
	for at := 0; at < len(b.Rows); at += b.Stride() {
		var row []string
		for i := range b.Tables {
			t := &b.Tables[i]
			for c, cell := range t.Tuple(b.Rows[at+i]) {
				row = append(row, t.Columns[c].Name)
				if t.Columns[c].Kind == wire.Text || cell == wire.NullCell {
					row = append(row, writtenCell(b, cell))
					continue
				}
				for _, element := range b.Lists[cell] {
					row = append(row, writtenCell(b, element))
				}
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func writtenCell(b *wire.Batch, cell int32) string {
	if text, ok := b.Text(cell); ok {
		return "=" + text
	}
	return "null"
}

// TestBatchHoldsEveryRow: whatever repeats, a batch says of every row what the row says,
// also in a builder that was used before, and holds nothing twice.
func TestBatchHoldsEveryRow(t *testing.T) {
	text := rapid.Custom(func(t *rapid.T) defender.Text {
		return rapid.SampledFrom([]defender.Text{{}, {Valid: true}, {Value: "x", Valid: true}, {Value: "y", Valid: true}}).Draw(t, "text")
	})
	anyRow := rapid.Custom(func(t *rapid.T) plain {
		p := plain{id: text.Draw(t, "id"), a: text.Draw(t, "a"), b: text.Draw(t, "b")}
		if rapid.Bool().Draw(t, "listed") {
			p.list = append([]string{}, rapid.SliceOfN(rapid.SampledFrom([]string{"", "x", "y"}), 0, 3).Draw(t, "list")...)
		}
		if rapid.Bool().Draw(t, "texts given") {
			p.texts = append([]defender.Text{}, rapid.SliceOfN(text, 0, 2).Draw(t, "texts")...)
		}
		return p
	})
	rapid.Check(t, func(t *rapid.T) {
		b := plainLayout.take()
		for range 2 {
			var want [][]string
			for _, p := range rapid.SliceOfN(anyRow, 0, 40).Draw(t, "rows") {
				var unknown []defender.Member
				if rapid.Bool().Draw(t, "unknown") {
					unknown = []defender.Member{{Name: "n", Value: []byte("1")}}
				}
				add(b, plainLayout, &p, unknown)
				alone := plainLayout.take()
				add(alone, plainLayout, &p, unknown)
				want = append(want, written(&alone.batch)...)
				plainLayout.give(alone)
			}
			if got := written(&b.batch); !slices.EqualFunc(got, want, slices.Equal) {
				t.Fatalf("got  %q\nwant %q", got, want)
			}
			if len(b.batch.Texts) != len(slices.Compact(slices.Sorted(slices.Values(b.batch.Texts)))) {
				t.Fatalf("texts held twice: %q", b.batch.Texts)
			}
			b.reset()
		}
		plainLayout.give(b)
	})
}
