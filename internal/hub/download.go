package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// download fetches the blob of a file. A blob whose bytes are wrong is thrown away and fetched once more.
func (p *pull) download(ctx context.Context, f file, blob string, locked bool) error {
	if err := p.client.head(ctx, p.repo, p.commit, f); err != nil {
		return err
	}
	for again := false; ; again = true {
		err := p.downloadOnce(ctx, f, blob, locked)
		var corrupt *corruptError
		if !errors.As(err, &corrupt) {
			return err
		}
		if again {
			return fmt.Errorf("%w; fetched twice, and thrown away; a proxy or the disk may spoil it", err)
		}
		p.client.notice("%v; fetching it once more", err)
	}
}

func (p *pull) downloadOnce(ctx context.Context, f file, blob string, locked bool) (err error) {
	part, err := openPartial(blob, f, locked, p.client.clock.now(), p.meter.add)
	if err != nil {
		return err
	}
	defer func() { part.close(err) }()
	buffer := make([]byte, min(chunk, f.size+1))
	if err := part.resume(ctx, buffer); err != nil {
		return err
	}
	patience := patience{client: p.client}
	for part.done < f.size {
		before := part.done
		err := p.continueWith(ctx, f, part, buffer)
		if err == nil {
			break
		}
		if part.done > before {
			patience.reset()
		}
		if errors.Is(err, errChanged) {
			err = &corruptError{err.Error()}
		}
		if err := patience.wait(ctx, err); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return part.finish(blob)
}

// continueWith asks for the bytes that are lacking.
func (p *pull) continueWith(ctx context.Context, f file, part *partial, buffer []byte) error {
	resp, err := p.client.get(ctx, p.repo, p.commit, f, part.done)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	defer resp.Body.Close()
	tag := resp.Header.Get("ETag")
	again := func(format string, args ...any) error {
		if err := part.restart(); err != nil {
			return err
		}
		return &transientError{err: fmt.Errorf("%s: "+format+"; from the beginning", append([]any{f.path}, args...)...)}
	}
	switch resp.StatusCode {
	case http.StatusRequestedRangeNotSatisfiable:
		if part.done == 0 {
			return fmt.Errorf("%s: status %s; %w", f.path, clip(resp.Status), errOtherSite)
		}
		return again("the hub has no bytes from %d on, of %d that it lists", part.done, f.size)
	case http.StatusPartialContent:
		want := fmt.Sprintf("bytes %d-%d/%d", part.done, f.size-1, f.size)
		if got := resp.Header.Get("Content-Range"); got != want {
			return again("Content-Range is %q where it should be %q", clip(got), want)
		}
		if part.answerTag != "" && tag != part.answerTag {
			return again("the file has become another (ETag %s, it was %s)", clip(tag), clip(part.answerTag))
		}
	default: // the whole of it, whatever was asked for
		if resp.ContentLength >= 0 && resp.ContentLength != f.size {
			return &corruptError{fmt.Sprintf("%s: %d bytes are served; the hub lists %d", f.path, resp.ContentLength, f.size)}
		}
		if part.done > 0 {
			if err := part.restart(); err != nil {
				return err
			}
		}
	}
	part.answerTag = tag
	return part.fill(resp.Body, buffer)
}

// place makes a snapshot's file out of a blob: a relative link, or where there are no links the file itself. fresh
// tells that the blob is new, so that nothing else needs it.
func (p *pull) place(ctx context.Context, blob, pointer, etag string, depth int, fresh bool) error {
	temp := newName(blob, ".incomplete") // not in the snapshot, which shall have nothing but its files when this is killed
	defer os.Remove(temp)
	if !p.client.settings.NoLinks {
		to := strings.Repeat("../", depth+2) + "blobs/" + etag
		if symlink(to, pointer) == nil {
			return nil
		}
		if symlink(to, temp) == nil { // there is something of that name
			return os.Rename(temp, pointer)
		}
	}
	if fresh {
		return os.Rename(blob, pointer)
	}
	from, err := os.Open(blob)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	for err == nil {
		if err = ctx.Err(); err == nil {
			_, err = io.CopyN(to, from, 16*chunk)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return err
	}
	return os.Rename(temp, pointer)
}

// symlink is a variable for tests of file systems that have none.
var symlink = os.Symlink
