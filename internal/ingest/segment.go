package ingest

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/klauspost/compress/zstd"

	"muster"
	"muster/internal/store"
)

// A segment is a sorted run of records in compressed chunks: small, durable, and the
// same on every engine. A record is a machine (or CVE), an item of it, and a payload
// whose first eight bytes order doubles: the greatest comes first and wins.

// rejectedItem marks "a row of this machine could not be decoded".
const rejectedItem = ^uint64(0)

// presentItem marks "this machine has rows, none of which is wanted".
const presentItem = rejectedItem - 1

const (
	segmentRecords = 256 << 10 // records sorted in memory at a time
	segmentBytes   = 32 << 20  // payload bytes likewise; documents are larger than rows
	chunkBytes     = 96 << 10  // before compression
)

type record struct {
	key, item uint64
	payload   []byte
}

func compareRecords(a, b record) int {
	switch {
	case a.key != b.key:
		return cmp.Compare(a.key, b.key)
	case a.item != b.item:
		return cmp.Compare(a.item, b.item)
	}
	return bytes.Compare(b.payload, a.payload)
}

// segmentWriter collects records until they are worth a segment.
type segmentWriter struct {
	entries []entry
	blocks  [][]byte // of payloads; all but the last are done with
	spare   [][]byte // blocks of an earlier segment
	bytes   int
}

// entry is a record whose payload stands in a block: 24 bytes and no pointer, because
// there are hundreds of thousands of them.
type entry struct {
	key, item uint64
	at        uint32 // block and offset in it
	size      uint32
}

const (
	blockBits  = 20
	blockBytes = 1 << blockBits
)

func (w *segmentWriter) payload(e *entry) []byte {
	from := e.at & (blockBytes - 1)
	return w.blocks[e.at>>blockBits][from : from+e.size]
}

func (w *segmentWriter) add(key, item uint64, payload []byte) {
	last := len(w.blocks) - 1
	if last < 0 || len(w.blocks[last])+len(payload) >= blockBytes { // never full, so that an offset fits its bits
		w.nextBlock(len(payload))
		last++
	}
	at := uint32(last<<blockBits | len(w.blocks[last]))
	w.blocks[last] = append(w.blocks[last], payload...)
	w.entries = append(w.entries, entry{key, item, at, uint32(len(payload))})
	w.bytes += len(payload)
}

// nextBlock begins a block. A payload larger than one has its own.
func (w *segmentWriter) nextBlock(size int) {
	if last := len(w.spare) - 1; last >= 0 && size <= blockBytes {
		w.blocks, w.spare = append(w.blocks, w.spare[last]), w.spare[:last]
		return
	}
	w.blocks = append(w.blocks, make([]byte, 0, max(blockBytes, size)))
}

// clear forgets what was written and keeps the memory for the next segment.
func (w *segmentWriter) clear() {
	for _, block := range w.blocks {
		if cap(block) == blockBytes {
			w.spare = append(w.spare, block[:0])
		}
	}
	clear(w.blocks)
	w.entries, w.blocks, w.bytes = w.entries[:0], w.blocks[:0], 0
}

func (w *segmentWriter) full() bool {
	return len(w.entries) >= segmentRecords || w.bytes >= segmentBytes
}

// The window is no larger than what is packed at once: the default costs 8 MB.
var (
	encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(128<<10))
	decoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
)

// chunks sorts what was collected, encodes it and starts anew.
func (w *segmentWriter) chunks() (chunks [][]byte, records int) {
	slices.SortFunc(w.entries, func(a, b entry) int {
		switch {
		case a.key != b.key:
			return cmp.Compare(a.key, b.key)
		case a.item != b.item:
			return cmp.Compare(a.item, b.item)
		}
		return bytes.Compare(w.payload(&b), w.payload(&a))
	})
	var raw, packed []byte
	var last entry
	flush := func() {
		if len(raw) > 0 {
			packed = encoder.EncodeAll(raw, packed[:0])
			chunks = append(chunks, slices.Clone(packed))
		}
		raw, last = raw[:0], entry{}
	}
	for i := range w.entries {
		e := &w.entries[i]
		raw = binary.AppendUvarint(raw, e.key-last.key)
		if e.key != last.key {
			last.item = 0
		}
		raw = binary.AppendUvarint(raw, e.item-last.item)
		raw = binary.AppendUvarint(raw, uint64(e.size))
		raw = append(raw, w.payload(e)...)
		if last = *e; len(raw) >= chunkBytes {
			flush()
		}
	}
	flush()
	records = len(w.entries)
	w.clear()
	return chunks, records
}

// segmentReader walks one segment chunk by chunk with short statements.
type segmentReader struct {
	staging store.Staging
	segment store.Segment
	next    int
	raw     []byte // of the current chunk
	rest    []byte
	record
}

var errRecord = fmt.Errorf("segment record: %w", store.ErrDamaged)

func (r *segmentReader) advance(ctx context.Context) (ok bool, err error) {
	for len(r.rest) == 0 {
		if r.next == r.segment.Chunks {
			return false, nil
		}
		chunk, err := r.staging.ReadChunk(ctx, r.segment.ID, r.next)
		if err != nil {
			return false, err
		}
		if r.raw, err = decoder.DecodeAll(chunk, r.raw[:0]); err != nil {
			return false, fmt.Errorf("segment %d, chunk %d: %w", r.segment.ID, r.next, store.ErrDamaged)
		}
		r.rest, r.record = r.raw, record{}
		r.next++
	}
	var n [3]uint64
	for i := range n {
		v, size := binary.Uvarint(r.rest)
		if size <= 0 {
			return false, errRecord
		}
		n[i], r.rest = v, r.rest[size:]
	}
	if n[2] > uint64(len(r.rest)) {
		return false, errRecord
	}
	if n[0] != 0 {
		r.item = 0
	}
	r.key, r.item = r.key+n[0], r.item+n[1]
	r.payload, r.rest = r.rest[:n[2]], r.rest[n[2]:]
	return true, nil
}

type segmentHeap []*segmentReader

func (h segmentHeap) Len() int           { return len(h) }
func (h segmentHeap) Less(i, j int) bool { return compareRecords(h[i].record, h[j].record) < 0 }
func (h segmentHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *segmentHeap) Push(x any)        { *h = append(*h, x.(*segmentReader)) }
func (h *segmentHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// records yields all records of a dataset with keys above the given one in order. A
// record is valid until the next; an error ends the sequence.
func records(ctx context.Context, staging store.Staging, run int64, d muster.Dataset, above uint64) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		segments, err := staging.Segments(ctx, run, d)
		if err != nil {
			yield(record{}, err)
			return
		}
		var h segmentHeap
		for _, segment := range segments {
			r := &segmentReader{staging: staging, segment: segment}
			ok, err := r.advance(ctx)
			if err != nil {
				yield(record{}, err)
				return
			}
			if ok {
				h = append(h, r)
			}
		}
		heap.Init(&h)
		for len(h) > 0 {
			if h[0].key > above && !yield(h[0].record, nil) {
				return
			}
			ok, err := h[0].advance(ctx)
			if err != nil {
				yield(record{}, err)
				return
			}
			if ok {
				heap.Fix(&h, 0)
			} else {
				heap.Pop(&h)
			}
		}
	}
}
