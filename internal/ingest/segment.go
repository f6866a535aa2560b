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
	records []record
	arena   []byte   // the block that payloads are copied to
	used    [][]byte // blocks before it
	free    [][]byte // blocks of an earlier segment
	bytes   int
}

const arenaBlock = 1 << 20

func (w *segmentWriter) add(key, item uint64, payload []byte) {
	if cap(w.arena)-len(w.arena) < len(payload) {
		w.nextBlock(len(payload))
	}
	from := len(w.arena)
	w.arena = append(w.arena, payload...)
	w.records = append(w.records, record{key, item, w.arena[from:len(w.arena):len(w.arena)]})
	w.bytes += len(payload)
}

// nextBlock begins a block with room for size bytes; nothing is copied.
func (w *segmentWriter) nextBlock(size int) {
	if w.arena != nil {
		w.used = append(w.used, w.arena)
	}
	if last := len(w.free) - 1; last >= 0 && size <= arenaBlock {
		w.arena, w.free = w.free[last], w.free[:last]
		return
	}
	w.arena = make([]byte, 0, max(arenaBlock, size))
}

// clear forgets what was written and keeps the memory for the next segment.
func (w *segmentWriter) clear() {
	for _, block := range append(w.used, w.arena) {
		if cap(block) == arenaBlock {
			w.free = append(w.free, block[:0])
		}
	}
	clear(w.records)
	w.records, w.arena, w.used, w.bytes = w.records[:0], nil, w.used[:0], 0
}

func (w *segmentWriter) full() bool {
	return len(w.records) >= segmentRecords || w.bytes >= segmentBytes
}

// The window is no larger than what is packed at once: the default costs 8 MB.
var encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(128<<10))
var decoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))

// chunks sorts what was collected, encodes it and starts anew.
func (w *segmentWriter) chunks() (chunks [][]byte, records int) {
	slices.SortFunc(w.records, compareRecords)
	var raw []byte
	var last record
	flush := func() {
		if len(raw) > 0 {
			chunks = append(chunks, encoder.EncodeAll(raw, nil))
		}
		raw, last = raw[:0], record{}
	}
	for _, r := range w.records {
		raw = binary.AppendUvarint(raw, r.key-last.key)
		if r.key != last.key {
			last.item = 0
		}
		raw = binary.AppendUvarint(raw, r.item-last.item)
		raw = binary.AppendUvarint(raw, uint64(len(r.payload)))
		raw = append(raw, r.payload...)
		if last = r; len(raw) >= chunkBytes {
			flush()
		}
	}
	flush()
	records = len(w.records)
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
