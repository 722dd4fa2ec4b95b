package ocilayout

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// MediaTypeIndex is index.json's.
const MediaTypeIndex = "application/vnd.oci.image.index.v1+json"

// layoutVersion is the content of oci-layout.
const layoutVersion = `{"imageLayoutVersion":"1.0.0"}`

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []Descriptor `json:"manifests"`
}

// Done writes oci-layout and index.json with the given images. It is called once, when every blob is there;
// called again, the last call wins.
func (l *Layout) Done(images ...Descriptor) error {
	if len(images) == 0 {
		return errors.New("write index: no image")
	}
	for _, d := range images {
		if _, _, err := SplitDigest(d.Digest); err != nil {
			return fmt.Errorf("write index: %w", err)
		}
	}
	b, err := json.Marshal(index{SchemaVersion: 2, MediaType: MediaTypeIndex, Manifests: images})
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if err := l.writeFile("oci-layout", []byte(layoutVersion)); err != nil {
		return fmt.Errorf("write oci-layout: %w", err)
	}
	if err := l.writeFile("index.json", b); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

// writeFile replaces name by rename.
func (l *Layout) writeFile(name string, b []byte) error {
	tmp := name + ".tmp"
	f, err := l.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		l.root.Remove(tmp)
		return err
	}
	return l.root.Rename(tmp, name)
}
