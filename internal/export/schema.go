package export

import (
	"reflect"

	"github.com/parquet-go/parquet-go"
)

// schema is the Parquet schema of an export. Texts and numbers are encoded by dictionary,
// for they repeat; times as differences, for they are close to each other.
func schema(name string, columns []heading) *parquet.Schema {
	root := ordered{}
	for _, c := range columns {
		node := c.form.node()
		if !c.never {
			node = parquet.Optional(node)
		}
		root.fields = append(root.fields, field{node, c.name})
	}
	return parquet.NewSchema(name, root)
}

// node is the Parquet type of a column that is never null.
func (f form) node() parquet.Node {
	switch f {
	case formText:
		return dictionary(parquet.String())
	case formList:
		return parquet.List(dictionary(parquet.String()))
	case formTime:
		return parquet.Encoded(parquet.Timestamp(parquet.Microsecond), &parquet.DeltaBinaryPacked)
	case formInteger:
		return parquet.Int(64)
	case formNumber:
		return dictionary(parquet.Leaf(parquet.DoubleType))
	case formBoolean:
		return parquet.Leaf(parquet.BooleanType)
	default:
		return dictionary(parquet.JSON())
	}
}

func dictionary(leaf parquet.Node) parquet.Node {
	return parquet.Encoded(leaf, &parquet.RLEDictionary)
}

// ordered is a group that keeps the order of its fields; the library's sorts them by name.
type ordered struct {
	parquet.Group

	fields []parquet.Field
}

func (o ordered) Fields() []parquet.Field { return o.fields }

type field struct {
	parquet.Node

	name string
}

func (f field) Name() string { return f.name }

// Value is for rows that are Go structs, which ours are not.
func (field) Value(reflect.Value) reflect.Value { return reflect.Value{} }
