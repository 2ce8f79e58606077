//! The batch's images, bytes, as numbers.

use super::{Operation, Run};
use crate::plan::Scratch;
use tenfold_kernels::memory::fetch;
use tenfold_kernels::pixels::pixel_values;

#[derive(Clone, Debug)]
pub(crate) struct PixelValues;

impl Operation for PixelValues {
    fn reads_pixels(&self) -> bool {
        true
    }

    fn fetch(&self, run: &Run) {
        for n in run.worker.share(run.batch.next.len()) {
            fetch(run.batch.next.image(n));
        }
    }

    fn forward(&self, run: &Run, _scratch: &mut Scratch) {
        let (isa, table, planes) = (run.step.isa, run.step.pixels, run.layout(run.node.output).planes());
        // Without a border, an image lies as the data have it.
        let dense = table.is_one_for_all()
            && planes.lanes() == 1
            && planes.len() == planes.channels() * planes.height() * planes.width();
        for n in run.share() {
            let (image, mut out) = (run.batch.examples.image(n), run.write(n));
            if dense {
                pixel_values(isa, table, 0, image, &mut out);
                continue;
            }
            for (channel, pixels) in image.chunks_exact(planes.height() * planes.width()).enumerate() {
                for (y, row) in pixels.chunks_exact(planes.width()).enumerate() {
                    let (at, start) = (channel * pixels.len() + y * row.len(), planes.index(channel, y, 0));
                    if planes.pixel() == 1 {
                        pixel_values(isa, table, at, row, &mut out[start..start + row.len()]);
                        continue;
                    }
                    for (x, &pixel) in row.iter().enumerate() {
                        out[start + x * planes.pixel()] = table.at(at, pixel);
                    }
                }
            }
        }
    }

    fn backward(&self, _run: &Run, _scratch: &mut Scratch) {
        unreachable!("nothing before the images learns");
    }
}
