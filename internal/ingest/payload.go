package ingest

import (
	"encoding/binary"
	"math"
	"time"

	"muster/internal/store"
)

// order is the first eight bytes of every payload: the row's own time, so that of two
// doubles the one seen last sorts first. No time sorts as the oldest.
func order(buf []byte, micros int64) []byte {
	return binary.BigEndian.AppendUint64(buf, uint64(micros)^(1<<63))
}

func orderTime(payload []byte) int64 {
	return int64(binary.BigEndian.Uint64(payload) ^ (1 << 63))
}

// row is one staged row of a dataset with many rows a machine.
type row struct {
	item     int64
	facts    int64
	evidence [16]byte
	number   int64 // as store.Item
	seen     int64 // microseconds; store.Null = none
}

func (r *row) append(buf []byte) []byte {
	buf = order(buf, r.seen)
	buf = binary.AppendUvarint(buf, uint64(r.facts))
	buf = binary.AppendVarint(buf, r.number)
	if r.evidence != [16]byte{} {
		buf = append(buf, r.evidence[:]...)
	}
	return buf
}

func decodeRow(item uint64, payload []byte) (row, bool) {
	r := row{item: int64(item), number: store.Null}
	if len(payload) < 10 {
		return r, false
	}
	r.seen = orderTime(payload)
	payload = payload[8:]
	facts, n := binary.Uvarint(payload)
	if n <= 0 {
		return r, false
	}
	r.facts, payload = int64(facts), payload[n:]
	if r.number, n = binary.Varint(payload); n <= 0 {
		return r, false
	}
	copy(r.evidence[:], payload[n:])
	return r, true
}

// machineFacts is what the scope and reconciliation rules need of a listed machine,
// kept beside its document so that deciding parses no JSON.
type machineFacts struct {
	FirstSeen, LastSeen time.Time
	Keys                store.MatchKeys
	MergedInto          string
	OnboardingStatus    string
	Tags                []string
}

// fixedTexts is how many texts stand before the MAC addresses; the tags follow them.
const fixedTexts = 6

func (f *machineFacts) append(buf []byte, document []byte) []byte {
	buf = order(buf, timeNumber(f.LastSeen))
	buf = binary.AppendVarint(buf, timeNumber(f.FirstSeen))
	buf = binary.AppendUvarint(buf, uint64(len(f.Keys.MACs)))
	texts := append([]string{f.Keys.EntraID, f.Keys.VMID, f.Keys.HostName, f.Keys.FQDN, f.MergedInto, f.OnboardingStatus}, f.Keys.MACs...)
	for _, text := range append(texts, f.Tags...) {
		buf = binary.AppendUvarint(buf, uint64(len(text))+1)
		buf = append(buf, text...)
	}
	buf = append(buf, 0)
	return append(buf, document...)
}

func decodeMachine(payload []byte) (f machineFacts, document []byte, ok bool) {
	if len(payload) < 9 {
		return f, nil, false
	}
	f.LastSeen = numberTime(orderTime(payload))
	payload = payload[8:]
	first, n := binary.Varint(payload)
	if n <= 0 {
		return f, nil, false
	}
	f.FirstSeen, payload = numberTime(first), payload[n:]
	macs, n := binary.Uvarint(payload)
	if n <= 0 || macs > uint64(len(payload)) {
		return f, nil, false
	}
	payload = payload[n:]
	var texts []string
	for {
		size, n := binary.Uvarint(payload)
		if n <= 0 || size > uint64(len(payload)) {
			return f, nil, false
		}
		payload = payload[n:]
		if size == 0 {
			break
		}
		texts, payload = append(texts, string(payload[:size-1])), payload[size-1:]
	}
	tags := fixedTexts + int(macs)
	if len(texts) < tags {
		return f, nil, false
	}
	f.Keys = store.MatchKeys{EntraID: texts[0], VMID: texts[1], HostName: texts[2], FQDN: texts[3]}
	if macs > 0 {
		f.Keys.MACs = texts[fixedTexts:tags]
	}
	f.MergedInto, f.OnboardingStatus, f.Tags = texts[4], texts[5], texts[tags:]
	return f, payload, true
}

// timeNumber is a time in microseconds; none is store.Null, which sorts first.
func timeNumber(t time.Time) int64 {
	if t.IsZero() {
		return math.MinInt64
	}
	return t.UnixMicro()
}

func numberTime(n int64) time.Time {
	if n == math.MinInt64 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
