package emulator

import (
	"encoding/hex"
	"strconv"
)

// mix is the world's only source of chance: splitmix64's finaliser folded over parts.
// The same parts give the same number on every machine and in every release.
func mix(parts ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, p := range parts {
		h ^= p
		h += 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

func appendHash(b []byte, h uint64) []byte {
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(h>>shift))
	}
	return b
}

// guid writes two numbers as a version 4 GUID.
func guid(a, b uint64) string {
	raw := appendHash(appendHash(make([]byte, 0, 16), a), b)
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	x := hex.EncodeToString(raw)
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// hex40 is a machine id: 40 hex digits, lower case, beginning with those of a.
func hex40(a, b uint64) string {
	raw := appendHash(appendHash(appendHash(make([]byte, 0, 24), a), mix(a, b)), mix(b, a))
	return hex.EncodeToString(raw[:20])
}

// parseHex32 reads the first eight digits of a machine id.
func parseHex32(id string) (uint32, bool) {
	if len(id) != 40 {
		return 0, false
	}
	n, err := strconv.ParseUint(id[:8], 16, 32)
	return uint32(n), err == nil
}
