package pdf

import (
	"fmt"
	"image"

	"github.com/klippa-app/go-pdfium/requests"
)

const (
	scanDPI    = 200      // what OCR is good at
	scanPixels = 12 << 20 // of one page; a larger page is shown smaller
	scanSide   = 1 << 14
)

// scanned returns the text that scan finds on a picture of a page; none where
// the page cannot be shown.
func (d *document) scanned(index int, scan func(int, []byte) string) string {
	if scan == nil {
		return ""
	}
	picture, err := d.picture(index)
	if err != nil {
		return ""
	}
	return scan(index, picture)
}

// picture shows a page in shades of grey.
func (d *document) picture(index int) ([]byte, error) {
	size, err := d.in.FPDF_GetPageSizeByIndex(&requests.FPDF_GetPageSizeByIndex{Document: d.ref, Index: index})
	if err != nil {
		return nil, err
	}
	width, height := pixels(size.Width, size.Height)
	shown, err := d.in.RenderPageInPixels(&requests.RenderPageInPixels{
		Page:  requests.Page{ByIndex: &requests.PageByIndex{Document: d.ref, Index: index}},
		Width: width, Height: height, ImageFormat: requests.RenderImageFormatGrayscale,
	})
	if err != nil {
		return nil, err
	}
	defer shown.Cleanup()
	grey, ok := shown.Result.RenderedImage.(*image.Gray)
	if !ok {
		return nil, fmt.Errorf("pdf: a page was shown as %T", shown.Result.RenderedImage)
	}
	return pgm(grey), nil
}

// pixels returns how large a page of so many points is shown.
func pixels(width, height float64) (w, h int) {
	scale := float64(scanDPI) / 72
	for width*scale*height*scale > scanPixels || max(width, height)*scale > scanSide {
		scale *= 0.9
	}
	return max(int(width*scale), 1), max(int(height*scale), 1)
}

// pgm writes a picture in the simplest format that there is.
func pgm(m *image.Gray) []byte {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	out := fmt.Appendf(make([]byte, 0, w*h+32), "P5\n%d %d\n255\n", w, h)
	for y := range h {
		out = append(out, m.Pix[y*m.Stride:y*m.Stride+w]...)
	}
	return out
}
