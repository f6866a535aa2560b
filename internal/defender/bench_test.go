package defender

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// vulnerabilityFile is a file of n rows as the service makes them, all properties
// given, about 1 kB each: 10,000 machines, 3,000 software versions and 8,000 CVEs
// in no order.
func vulnerabilityFile(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.DefaultCompression)
	for range n {
		machine := random.IntN(10_000)
		software := int(3000 * random.Float64() * random.Float64() * random.Float64())
		cve := software*2 + random.IntN(3)
		fmt.Fprintf(z, `{"Id":"%040x_vendor%d_product_%d_%d.0.%d_CVE-2026-%05d","DeviceId":"%040x","RbacGroupId":%d,"RbacGroupName":"Group %d","DeviceName":"host-%05d.corp.contoso.com",`+
			`"OSPlatform":"Windows11","OSVersion":"10.0.22631.%d","OSArchitecture":"x64","SoftwareVendor":"vendor%d","SoftwareName":"product_%d","SoftwareVersion":"%d.0.%d","CveId":"CVE-2026-%05d",`+
			`"VulnerabilitySeverityLevel":"High","RecommendedSecurityUpdate":"November 2026 Security Updates","RecommendedSecurityUpdateId":"50%05d",`+
			`"RecommendedSecurityUpdateUrl":"https://catalog.update.microsoft.com/v7/site/Search.aspx?q=KB50%05d",`+
			`"DiskPaths":["C:\\Program Files\\Vendor %d\\Product %d\\product.exe"],"RegistryPaths":["HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\{%08x-0000-4000-8000-000000000000}"],`+
			`"LastSeenTimestamp":"2026-11-%02d %02d:15:00","FirstSeenTimestamp":"2026-%02d-11 18:00:%02d.%07d","EndOfSupportStatus":"Upcoming EOS Version","EndOfSupportDate":"2027-10-12","ExploitabilityLevel":"NoExploit",`+
			`"RecommendationReference":"va-_-vendor%d-_-product_%d","CvssScore":%d.5,"SecurityUpdateAvailable":true,"IsOnboarded":true}`+"\n",
			machine, software%97, software, software%9, software%7, cve, machine, machine%20, machine%20, machine,
			machine%50, software%97, software, software%9, software%7, cve,
			cve%400, cve%400, software%97, software, software,
			1+machine%28, machine%24, 1+cve%12, software%60, cve*1117, software%97, software, cve%10)
	}
	_ = z.Close()
	return b.Bytes()
}

func readAll(tb testing.TB, d *decoder[AssetVulnerability], file []byte) (rows int) {
	err := readLines(d, bytes.NewReader(file), func(row Row[AssetVulnerability]) error {
		if row.Value == nil {
			tb.Fatalf("rejected: %+v", row.Rejected)
		}
		rows++
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return rows
}

// TestRowsCostFewAllocations: the id is the one text that is new in every row.
func TestRowsCostFewAllocations(t *testing.T) {
	const rows = 40_000
	file := vulnerabilityFile(rows)
	d := newDecoder[AssetVulnerability](internedSets)
	readAll(t, d, file) // so that the texts are known
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if n := readAll(t, d, file); n != rows {
		t.Fatalf("%d rows", n)
	}
	runtime.ReadMemStats(&after)
	if each := float64(after.Mallocs-before.Mallocs) / rows; each > 2 {
		t.Errorf("%.2f allocations a row, want at most 2", each)
	}
}

// BenchmarkVulnerabilityFile decodes a file of 100,000 rows, and beside it only
// unpacks it, and unpacks and cuts it into lines: the floors.
func BenchmarkVulnerabilityFile(b *testing.B) {
	const rows = 100_000
	file := vulnerabilityFile(rows)
	unpack := func(b *testing.B) io.Reader {
		z, err := gzip.NewReader(bytes.NewReader(file))
		if err != nil {
			b.Fatal(err)
		}
		return z
	}
	run := func(name string, once func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b.ReportAllocs()
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				once(b)
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(rows)/float64(b.N), "allocs/row")
		})
	}
	d := newDecoder[AssetVulnerability](internedSets)
	run("rows", func(b *testing.B) {
		if n := readAll(b, d, file); n != rows {
			b.Fatal(n)
		}
	})
	run("gunzip", func(b *testing.B) {
		if _, err := io.Copy(io.Discard, unpack(b)); err != nil {
			b.Fatal(err)
		}
	})
	run("gunzip-and-lines", func(b *testing.B) {
		l, err := newLines(bytes.NewReader(file))
		for err == nil {
			_, err = l.next()
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	})
}

// BenchmarkMachines decodes a page of machines.
func BenchmarkMachines(b *testing.B) {
	one := strings.TrimSpace(`{"id":"0e23b8b23abcdefabcdef6f877b45d19c04a522d","isExcluded":false,"computerDnsName":"c-lab-08","firstSeen":"2024-11-05T11:54:59.5717001Z","lastSeen":"2025-04-02T02:51:16.2059102Z","osPlatform":"Windows10","osBuild":19045,"machineTags":["a","b"],"ipAddresses":[{"ipAddress":"67.43.156.0","macAddress":"00005E0053FF","type":"Ethernet","operationalStatus":"Up"}],"vmMetadata":null}`)
	file := []byte(strings.Repeat(one+"\n", 10_000))
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		d := machineShape.take()
		if err := readLines(d, bytes.NewReader(file), func(Row[Machine]) error { return nil }); err != nil {
			b.Fatal(err)
		}
		machineShape.give(d)
	}
}
