package defender

import (
	"bytes"
	"context"
	"iter"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// InfoGathering is one line of InfoGatheringExport: what was gathered of one
// machine (api/get-assessment-information-gathering.md). Info is the decoded
// DeviceGatheredInfo, which comes as JSON inside a string.
type InfoGathering struct {
	DeviceID      Text       `mde:"deviceId,machine"`
	RbacGroupID   Text       `mde:"rbacGroupId,number"`
	RbacGroupName Text       `mde:"rbacGroupName"`
	Timestamp     time.Time  `mde:"timestamp"`
	LastSeenTime  time.Time  `mde:"lastSeenTime"`
	DeviceName    Text       `mde:"deviceName"`
	OSPlatform    Text       `mde:"osPlatform"`
	OSVersion     Text       `mde:"osVersion"`
	Info          []Gathered `mde:"deviceGatheredInfo"`
}

// Gathered is one fact of a machine. Name is as it came: its case varies
// ("AvIsEngineUptodate", "AvIsEngineUpToDate"). Arrays and objects stay JSON.
type Gathered struct {
	Name string
	Text Text
}

var informationShape = newShape[InfoGathering]()

// InformationFile reads one file of an InformationExport; see VulnerabilityFile.
func (c *Client) InformationFile(ctx context.Context, f File) iter.Seq2[Row[InfoGathering], error] {
	return readFile(ctx, c, informationShape, f)
}

// readGathered decodes DeviceGatheredInfo: an object, usually inside a string.
func (s *scanner) readGathered(f *field, value []byte) {
	object := value
	if value[0] == '"' {
		s.inner, _ = jsontext.AppendUnquote(s.inner[:0], value)
		if object = bytes.TrimSpace(s.inner); len(object) == 0 || string(object) == "null" {
			return
		}
	}
	s.innerBuffer = *bytes.NewBuffer(object)
	s.innerReader.Reset(&s.innerBuffer, lenient...)
	dec := &s.innerReader
	if dec.PeekKind() != '{' {
		s.bad(f, value, "it is not a JSON object inside a text")
		return
	}
	s.gathered = s.gathered[:0]
	if err := s.gather(dec); err != nil {
		s.bad(f, value, "it is not JSON inside a text: "+plainError(err))
		return
	}
	*f.gathered = s.gathered
}

// gather reads the facts and the end of the text.
func (s *scanner) gather(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		quoted, err := dec.ReadValue()
		if err != nil {
			return err
		}
		name, _ := s.scalar(quoted)
		fact := Gathered{Name: s.texts.get(name)}
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if text, ok := s.scalar(value); ok {
			fact.Text = Text{s.texts.get(text), true}
		} else if value[0] != 'n' {
			fact.Text = Text{string(value), true}
		}
		s.gathered = append(s.gathered, fact)
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	return atEnd(dec)
}
