// Package mapping is the one table that pairs source attributes with target attributes
// (SPEC §6); the import, the downloads and the documentation all come from it. It must
// not know how rows are read from the source, nor where documents are kept.
package mapping
