package emulator

import (
	"cmp"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// propertyType says how a property is compared in $filter and $orderby.
type propertyType uint8

const (
	typeText   propertyType = iota // by bytes
	typeEnum                       // by text without case: the service takes 'onboarded' for Onboarded
	typeNumber                     //
	typeDate                       // DateTimeOffset
	typeTexts                      // collection of texts, for any()
)

// edmName is the type's name in the service's messages.
func (t propertyType) edmName() string {
	return [...]string{"Edm.String", "Edm.String", "Edm.Double", "Edm.DateTimeOffset", "Collection(Edm.String)"}[t]
}

// predicate tests a row; element is the lambda variable inside any().
type predicate func(row reflect.Value, element string) bool

// operand is a value to compare; null compares only by eq and ne.
type operand struct {
	null   bool
	text   string
	number float64
	at     time.Time
}

func (a operand) compare(b operand, t propertyType) int {
	switch t {
	case typeNumber:
		return cmp.Compare(a.number, b.number)
	case typeDate:
		return a.at.Compare(b.at)
	case typeEnum:
		return cmp.Compare(strings.ToLower(a.text), strings.ToLower(b.text))
	}
	return cmp.Compare(a.text, b.text)
}

// property is a column that a query may name.
type property struct {
	column
	compared propertyType
}

// of reads the property from a row.
func (p property) of(row reflect.Value) operand {
	value := row.Field(p.index)
	if p.optional {
		if value.IsNil() {
			return operand{null: true}
		}
		value = value.Elem()
	}
	switch p.compared {
	case typeNumber:
		if p.kind == kindFloat {
			return operand{number: value.Float()}
		}
		return operand{number: float64(value.Int())}
	case typeDate:
		at, err := time.Parse(time.RFC3339, value.String())
		return operand{null: err != nil, at: at}
	}
	return operand{text: value.String()}
}

// literal reads a token as the property's type.
func (p property) literal(t token) (operand, error) {
	if t.kind == tokenWord && strings.EqualFold(t.text, "null") {
		return operand{null: true}, nil
	}
	mismatch := "Edm.String"
	if t.kind == tokenWord {
		mismatch = "a literal without quotes"
	}
	switch {
	case t.kind == tokenQuoted && (p.compared == typeText || p.compared == typeEnum):
		return operand{text: t.text}, nil
	case t.kind == tokenWord && guidPattern.MatchString(t.text) && p.compared == typeText:
		return operand{text: strings.ToLower(t.text)}, nil // aadDeviceId is an Edm.Guid
	case t.kind == tokenWord && p.compared == typeNumber:
		if number, err := strconv.ParseFloat(t.text, 64); err == nil {
			return operand{number: number}, nil
		}
	case t.kind == tokenWord && p.compared == typeDate:
		for _, layout := range []string{time.RFC3339, "2006-01-02Z", "2006-01-02", "2006-01-02T15:04Z07:00"} {
			if at, err := time.Parse(layout, t.text); err == nil {
				return operand{at: at}, nil
			}
		}
	}
	return operand{}, invalidQuery("A binary operator with incompatible types was detected. Found operand types '%s' and '%s' at position %d in '%s'.", p.compared.edmName(), mismatch, t.at, t.text)
}

// maxDepth bounds nested parentheses in a $filter.
const maxDepth = 50

// filterParser builds the predicate of one $filter by recursive descent.
type filterParser struct {
	set      queryable
	tokens   []token
	depth    int
	variable string // of the any() being read, "" outside
}

// parseFilter compiles a $filter over the rows of set.
func parseFilter(set queryable, filter string) (predicate, error) {
	tokens, err := lexFilter(filter)
	if err != nil {
		return nil, err
	}
	p := &filterParser{set: set, tokens: tokens}
	test, err := p.or()
	if err == nil && p.tokens[0].kind != tokenEnd {
		err = p.unexpected()
	}
	return test, err
}

func (p *filterParser) next() token {
	t := p.tokens[0]
	if t.kind != tokenEnd {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *filterParser) unexpected() error {
	return invalidQuery("Syntax error at position %d in the $filter.", p.tokens[0].at)
}

// word takes the next token if it is this keyword.
func (p *filterParser) word(keyword string) bool {
	found := p.tokens[0].kind == tokenWord && strings.EqualFold(p.tokens[0].text, keyword)
	if found {
		p.next()
	}
	return found
}

func (p *filterParser) sign(text string) error {
	if p.tokens[0].kind != tokenSign || p.tokens[0].text != text {
		return p.unexpected()
	}
	p.next()
	return nil
}

func (p *filterParser) or() (predicate, error) {
	left, err := p.and()
	for err == nil && p.word("or") {
		before := left
		var right predicate
		right, err = p.and()
		left = func(row reflect.Value, element string) bool { return before(row, element) || right(row, element) }
	}
	return left, err
}

func (p *filterParser) and() (predicate, error) {
	left, err := p.term()
	for err == nil && p.word("and") {
		before := left
		var right predicate
		right, err = p.term()
		left = func(row reflect.Value, element string) bool { return before(row, element) && right(row, element) }
	}
	return left, err
}

func (p *filterParser) term() (predicate, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, invalidQuery("The $filter is nested more than %d deep.", maxDepth)
	}
	defer func() { p.depth-- }()
	if p.word("not") {
		test, err := p.term()
		return func(row reflect.Value, element string) bool { return !test(row, element) }, err
	}
	if p.sign("(") == nil {
		test, err := p.or()
		if err == nil {
			err = p.sign(")")
		}
		return test, err
	}
	name := p.next()
	if name.kind != tokenWord {
		return nil, invalidQuery("Syntax error at position %d in the $filter.", name.at)
	}
	if p.tokens[0].kind == tokenSign && p.tokens[0].text == "(" {
		p.next()
		return p.function(name)
	}
	return p.comparison(name)
}

// reader gives the value that a name stands for: the lambda variable or a property.
func (p *filterParser) reader(name token) (property, func(reflect.Value, string) operand, error) {
	if p.variable != "" && name.text == p.variable {
		return property{compared: typeText}, func(_ reflect.Value, element string) operand { return operand{text: element} }, nil
	}
	found, err := p.set.filterable(name.text)
	if err == nil && found.compared == typeTexts {
		err = invalidQuery("The collection '%s' can only be tested by any().", name.text)
	}
	return found, func(row reflect.Value, _ string) operand { return found.of(row) }, err
}

func (p *filterParser) comparison(name token) (predicate, error) {
	left, read, err := p.reader(name)
	if err != nil {
		return nil, err
	}
	operator := p.next()
	holds := map[string]func(order int) bool{
		"eq": func(order int) bool { return order == 0 }, "ne": func(order int) bool { return order != 0 },
		"gt": func(order int) bool { return order > 0 }, "ge": func(order int) bool { return order >= 0 },
		"lt": func(order int) bool { return order < 0 }, "le": func(order int) bool { return order <= 0 },
	}[strings.ToLower(operator.text)]
	if operator.kind != tokenWord || holds == nil {
		return nil, invalidQuery("Syntax error at position %d in the $filter: a comparison operator was expected.", operator.at)
	}
	right, err := left.literal(p.next())
	if err != nil {
		return nil, err
	}
	equal, unequal := strings.EqualFold(operator.text, "eq"), strings.EqualFold(operator.text, "ne")
	return func(row reflect.Value, element string) bool {
		value := read(row, element)
		if value.null || right.null {
			same := value.null && right.null
			return equal && same || unequal && !same // every other comparison with null is false
		}
		return holds(value.compare(right, left.compared))
	}, nil
}

// function reads what follows "name(": startswith(p,'x') or p/any(v: …).
func (p *filterParser) function(name token) (predicate, error) {
	if collection, found := strings.CutSuffix(strings.ToLower(name.text), "/any"); found {
		return p.any(collection)
	}
	if !strings.EqualFold(name.text, "startswith") {
		return nil, invalidQuery("An unknown function with name '%s' was found.", name.text)
	}
	of, read, err := p.reader(p.next())
	if err != nil {
		return nil, err
	}
	if err := p.sign(","); err != nil {
		return nil, err
	}
	prefix := p.next()
	if prefix.kind != tokenQuoted || of.compared != typeText && of.compared != typeEnum {
		return nil, invalidQuery("No function signature for startswith matches the arguments at position %d.", prefix.at)
	}
	return func(row reflect.Value, element string) bool {
		value := read(row, element)
		return !value.null && strings.HasPrefix(value.text, prefix.text)
	}, p.sign(")")
}

func (p *filterParser) any(collection string) (predicate, error) {
	of, err := p.set.filterable(collection)
	if err != nil {
		return nil, err
	}
	variable := p.next()
	if of.compared != typeTexts || variable.kind != tokenWord || p.variable != "" {
		return nil, invalidQuery("Syntax error at position %d in the $filter: any() needs a collection and one variable.", variable.at)
	}
	if err := p.sign(":"); err != nil {
		return nil, err
	}
	p.variable = variable.text
	test, err := p.or()
	p.variable = ""
	if err != nil {
		return nil, err
	}
	return func(row reflect.Value, _ string) bool {
		elements := row.Field(of.index)
		for i := range elements.Len() {
			if test(row, elements.Index(i).String()) {
				return true
			}
		}
		return false
	}, p.sign(")")
}
