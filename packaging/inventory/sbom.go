package main

import (
	"crypto/sha1"
	"fmt"
	"path"
	"time"
)

// The part of CycloneDX 1.5 that is used.
type document struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Licenses   []license  `json:"licenses,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type license struct {
	Expression string `json:"expression"` // SPDX
}

// ownLicense is that of LICENSE; those of modules are their texts, in copyright.
const ownLicense = "Apache-2.0"

type hash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// bom is the document: the package is made of programs, each of modules.
func bom(name, version string, when time.Time, programs []program) document {
	self := "package:" + name
	doc := document{
		Format: "CycloneDX", Spec: "1.5", Version: 1,
		Metadata: metadata{Timestamp: when.Format(time.RFC3339), Component: component{
			Type: "application", Ref: self, Name: name, Version: version, Licenses: []license{{ownLicense}},
		}},
		Components: []component{}, Dependencies: []dependency{},
	}
	top := dependency{Ref: self, DependsOn: []string{}}
	seed := name + "\x00" + version
	for _, p := range programs {
		ref := "file:" + p.path
		seed += "\x00" + p.path + "\x00" + p.sha256
		top.DependsOn = append(top.DependsOn, ref)
		doc.Components = append(doc.Components, component{
			Type: "file", Ref: ref, Name: path.Base(p.path), Version: version,
			Hashes:     []hash{{"SHA-256", p.sha256}},
			Properties: []property{{"rkt:path", "/" + p.path}, {"rkt:package", p.main}},
		})
		d := dependency{Ref: ref, DependsOn: []string{purl(module{path: "std", version: p.goes})}}
		for _, m := range p.deps {
			d.DependsOn = append(d.DependsOn, purl(m))
		}
		doc.Dependencies = append(doc.Dependencies, d)
	}
	for _, m := range modules(programs) {
		c := component{Type: "library", Ref: purl(m), Name: m.path, Version: m.version, PURL: purl(m)}
		if m.sum != "" {
			c.Properties = []property{{"go:sum", m.sum}}
		}
		doc.Components = append(doc.Components, c)
	}
	doc.Dependencies = append([]dependency{top}, doc.Dependencies...)
	doc.Serial = serial(seed)
	return doc
}

// purl is a module's package URL.
func purl(m module) string { return "pkg:golang/" + m.path + "@" + m.version }

// serial is a UUID (version 5, of the content) so that two builds say the same.
func serial(seed string) string {
	b := sha1.Sum([]byte(seed))
	b[6], b[8] = b[6]&0x0f|0x50, b[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
