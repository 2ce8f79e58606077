//! Filters through training: a strip, a row for each filter, and an animated PNG.

use crate::colormap::largest_magnitude;
use crate::filters::{
    Filter, Grid, LARGEST_AREA, LARGEST_WIDTH, MARGIN, Multiples, NAN_HEIGHT, has_nan, lines_that_fit, name, sees_some,
};
use crate::font::Face;
use crate::heading::Heading;
use crate::legend;
use crate::picture::{Align, INK, Picture, SOFT_INK};

/// Filters through training.
#[derive(Clone, PartialEq, Debug)]
pub struct Strip {
    /// The title.
    pub title: String,
    /// The epochs; 0 is before training.
    pub epochs: Vec<usize>,
    /// Filters that the layer has; the rows may be some of them.
    pub of: usize,
    /// For each filter, the kernel at each epoch.
    pub rows: Vec<Vec<Filter>>,
}

/// A row for each filter and a column for each epoch, all on one scale, as a PNG file.
pub fn strip(strip: &Strip) -> Vec<u8> {
    draw(strip).png()
}

const GAP: usize = 8;
const ROW_GAP: usize = 14;
const HEAD_HEIGHT: usize = 20;
/// Epochs side by side at most.
const MOST_COLUMNS: usize = 14;
/// A weight has at least so many pixels, or fewer epochs are shown.
const LOWEST_SCALE: usize = 3;

/// Like [`strip()`], as a [`Picture`]. Of more epochs than have room, some are shown at equal distances, the first and
/// the last among them; of more filters than a picture can hold, the first; and it says so.
///
/// # Panics
/// If a row has not one kernel for each epoch, or weights are not as long as their shape says.
pub fn draw(strip: &Strip) -> Picture {
    check(strip);
    let (limit, has_nan) = scale(strip);
    let kernels = || strip.rows.iter().flatten();
    let names = strip.rows.iter().filter_map(|row| row.first()).map(|filter| Face::Bold.text_width(&name(filter)));
    let label_width = names.max().unwrap_or(0).max(Face::Bold.text_width("epoch")) + ROW_GAP;
    let room = LARGEST_WIDTH - 2 * MARGIN - label_width;
    let numbers = strip.epochs.iter().map(|epoch| Face::Bold.text_width(&epoch.to_string())).max().unwrap_or(0);
    let lowest = kernels().map(|kernel| Multiples::new(kernel, LOWEST_SCALE).size().0).max().unwrap_or(0).max(numbers);
    let epochs = spread(strip.epochs.len(), ((room + GAP) / (lowest + GAP)).clamp(2, MOST_COLUMNS));

    let cell_room = ((room + GAP) / epochs.len().max(1)).saturating_sub(GAP);
    let fit = |kernel: &Filter| Multiples::fit(kernel, cell_room.min(Multiples::room(kernel, strip.rows.len())));
    let cell_width = kernels().map(|kernel| fit(kernel).size().0).max().unwrap_or(0).max(numbers);
    let kernel_height = kernels().map(|kernel| fit(kernel).size().1).max().unwrap_or(0).max(Face::Bold.height());
    let row_height = kernel_height + ROW_GAP;
    let grid_width = (label_width + epochs.len() * (cell_width + GAP)).saturating_sub(GAP);
    let rows = &strip.rows[..strip.rows.len().min(lines_that_fit(LARGEST_AREA, grid_width, row_height))];

    let mut notes = vec![
        shown(rows.len(), strip.of, epochs.len(), strip.epochs.len()),
        "A column for each epoch; 0 is before training.".to_owned(),
    ];
    notes.extend(sees_some(kernels()));
    let heading = Heading::new(&strip.title, &notes, grid_width);
    let width = grid_width.max(heading.width()).max(legend::SIGNED_WIDTH + 2 * legend::OVERHANG) + 2 * MARGIN;
    let head_y = MARGIN + heading.height();
    let grid_y = head_y + HEAD_HEIGHT;
    let legend_y = grid_y + rows.len() * row_height + 4;
    let nan_height = if has_nan { NAN_HEIGHT } else { 0 };
    let mut picture = Picture::new(width, legend_y + legend::HEIGHT + nan_height + MARGIN);
    heading.draw(&mut picture, (MARGIN, MARGIN));
    if rows.is_empty() || epochs.is_empty() {
        picture.text((MARGIN, head_y), Align::Left, Face::Regular, SOFT_INK, "nothing to show");
        return picture;
    }

    let cell_x = |column: usize| MARGIN + label_width + column * (cell_width + GAP);
    picture.text((MARGIN, head_y), Align::Left, Face::Bold, INK, "epoch");
    for (column, &epoch) in epochs.iter().enumerate() {
        let at = (cell_x(column) + cell_width / 2, head_y);
        picture.text(at, Align::Center, Face::Bold, INK, &strip.epochs[epoch].to_string());
    }
    for (n, row) in rows.iter().enumerate() {
        let y = grid_y + n * row_height;
        let label_y = y + (kernel_height - Face::Bold.height()) / 2;
        picture.text((MARGIN, label_y), Align::Left, Face::Bold, INK, &name(&row[0]));
        for (column, &epoch) in epochs.iter().enumerate() {
            let multiples = fit(&row[epoch]);
            let x = cell_x(column) + (cell_width - multiples.size().0) / 2;
            multiples.draw(&mut picture, (x, y), &row[epoch], limit);
        }
    }
    let legend_x = MARGIN + legend::OVERHANG;
    legend::signed_scale(&mut picture, (legend_x, legend_y), limit, has_nan);
    picture
}

/// Frames of an animation at most: half a minute.
const MOST_FRAMES: usize = 60;
/// Pixels of a frame and of all frames at most, so that it is made within seconds and can be sent.
const LARGEST_FRAME: usize = 4_000_000;
const LARGEST_ANIMATION: usize = 80_000_000;
/// Each frame stays for half a second, the last for three.
const FRAME_MS: u16 = 500;
const LAST_FRAME_MS: u16 = 3000;

/// The filters in a grid, an epoch after the other, as an animated PNG file that plays forever. Where there is nothing
/// to show, a picture that says so.
///
/// # Panics
/// If a row has not one kernel for each epoch, all of one shape, or weights are not as long as their shape says.
pub fn animation(strip: &Strip) -> Vec<u8> {
    check(strip);
    if strip.epochs.is_empty() || strip.rows.is_empty() {
        return draw(strip).png();
    }
    let first = frame(strip, &[0], 0);
    let epochs =
        spread(strip.epochs.len(), (LARGEST_ANIMATION / (first.width() * first.height())).clamp(2, MOST_FRAMES));
    let first = frame(strip, &epochs, 0);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, first.width() as u32, first.height() as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    encoder.set_animated(epochs.len() as u32, 0).expect("there is at least one frame");
    let mut writer = encoder.write_header().expect("a Vec takes every write, and the size is not zero");
    for n in 0..epochs.len() {
        let delay_ms = if n + 1 == epochs.len() { LAST_FRAME_MS } else { FRAME_MS };
        writer.set_frame_delay(delay_ms, 1000).expect("the picture is animated");
        writer.write_image_data(frame(strip, &epochs, n).pixels()).expect("all frames are of one size");
    }
    writer.finish().expect("a Vec takes every write, and all frames are written");
    bytes
}

/// The `n`th of the shown `epochs`; of the same size for each, since its words are equally long.
fn frame(strip: &Strip, epochs: &[usize], n: usize) -> Picture {
    let (limit, has_nan) = scale(strip);
    let kernels = strip.rows.iter().map(|row| &row[epochs[n]]);
    let items = kernels.map(|kernel| (kernel, vec![(Face::Regular, INK, name(kernel))])).collect();
    let last = strip.epochs.iter().max().copied().unwrap_or(0);
    // No-break spaces before a short number: they are not taken for the end of a word.
    let epoch = format!("{:\u{a0}>1$}", strip.epochs[epochs[n]], last.to_string().len());
    let title = format!("{}, epoch {epoch} of {last}", strip.title);
    let grid = Grid { title: &title, items, limit, has_nan, largest_area: LARGEST_FRAME };
    let mut notes = vec![shown(grid.shown(), strip.of, epochs.len(), strip.epochs.len())];
    notes.extend(sees_some(strip.rows.iter().flatten()));
    grid.draw(&notes)
}

fn check(strip: &Strip) {
    for row in &strip.rows {
        assert_eq!(row.len(), strip.epochs.len(), "a row has a kernel for each epoch");
        for kernel in row {
            let shape = |kernel: &Filter| [kernel.channels, kernel.height, kernel.width];
            assert_eq!(shape(kernel), shape(&row[0]), "the kernels of filter {} are of one shape", kernel.number);
        }
    }
}

/// The one scale of all kernels, and whether one has what is not a number.
fn scale(strip: &Strip) -> (f32, bool) {
    let kernels = || strip.rows.iter().flatten();
    (largest_magnitude(kernels().flat_map(|kernel| &kernel.weights)), kernels().any(has_nan))
}

fn shown(filters: usize, of_filters: usize, epochs: usize, of_epochs: usize) -> String {
    format!("{filters} of {of_filters} filters and {epochs} of {of_epochs} saved epochs shown, all on one scale.")
}

/// At most `most` (at least two) of the numbers below `count`, as evenly as possible, the first and the last among
/// them.
fn spread(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    let last = most - 1;
    (0..most).map(|n| (n * (count - 1) + last / 2) / last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{fingerprint, has_margin};

    fn made_up(filters: usize, epochs: usize, channels: usize, side: usize) -> Strip {
        let kernel = |number: usize, epoch: usize| {
            let weight = |n: usize| ((n * 37 + number * 11) % 41) as f32 / 200.0 * epoch as f32 - 0.1 * epoch as f32;
            let weights = (0..channels * side * side).map(weight).collect();
            Filter { number, channels, first_channel: None, height: side, width: side, weights }
        };
        Strip {
            title: "Filters of conv1 of cnn2 seed 1 through training".to_owned(),
            epochs: (0..epochs).collect(),
            of: 64,
            rows: (0..filters).map(|number| (0..epochs).map(|epoch| kernel(number, epoch)).collect()).collect(),
        }
    }

    #[test]
    fn epochs_that_are_shown_are_spread_evenly() {
        assert_eq!(spread(3, 14), [0, 1, 2]);
        assert_eq!(spread(0, 14), [0; 0]);
        assert_eq!(spread(101, 6), [0, 20, 40, 60, 80, 100]);
        assert_eq!(spread(12, 5), [0, 3, 6, 8, 11]);
        for count in 0..200 {
            for most in 2..20 {
                let shown = spread(count, most);
                assert_eq!(shown.len(), count.min(most), "{count} {most}");
                assert!(shown.windows(2).all(|pair| pair[0] < pair[1]), "{count} {most}: {shown:?}");
                assert!(count == 0 || shown[0] == 0 && shown.last() == Some(&(count - 1)), "{count} {most}: {shown:?}");
            }
        }
    }

    #[test]
    fn a_strip_stays_on_the_page() {
        for (channels, side) in [(1, 5), (32, 5), (1, 28), (3, 7), (64, 3)] {
            for epochs in [1, 2, 12, 101] {
                let picture = draw(&made_up(4, epochs, channels, side));
                assert!(picture.width() <= LARGEST_WIDTH, "{channels} {side} {epochs}: {}", picture.width());
            }
        }
    }

    #[test]
    fn the_strip_is_pinned() {
        let pictures = [draw(&made_up(5, 12, 1, 5)), draw(&made_up(2, 101, 32, 5))];
        let looked_at = [3288769059080641631, 16884394387821578755];
        assert_eq!(
            pictures.each_ref().map(fingerprint),
            looked_at,
            "looked at and found good? then pin the new values"
        );
        assert_eq!(strip(&made_up(1, 2, 1, 5)), draw(&made_up(1, 2, 1, 5)).png());
    }

    #[test]
    fn the_animation_shows_each_epoch_and_holds_the_last() {
        let mut strip = made_up(3, 12, 1, 5);
        strip.rows[0][7].weights[3] = f32::NAN;
        let bytes = animation(&strip);
        assert_eq!(bytes, animation(&strip));
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let control = *reader.info().animation_control().unwrap();
        assert_eq!((control.num_frames, control.num_plays), (12, 0));
        let epochs: Vec<usize> = (0..12).collect();
        for n in 0..12 {
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            let shown = reader.info().frame_control().unwrap();
            assert_eq!((shown.delay_num, shown.delay_den), (if n == 11 { 3000 } else { 500 }, 1000), "frame {n}");
            assert!(pixels == frame(&strip, &epochs, n).pixels(), "frame {n}");
        }
        let pin = fingerprint(&frame(&strip, &epochs, 3));
        assert_eq!(pin, 13996580016194961058, "looked at and found good? then pin the new value");
    }

    #[test]
    fn odd_strips_are_drawn_and_nothing_is_cut_off() {
        let mut nan = made_up(2, 3, 1, 5);
        nan.rows[1].iter_mut().for_each(|kernel| kernel.weights.fill(f32::NAN));
        let mut long = made_up(1, 1, 1, 5);
        long.title = "a-very-long-recipe-name-of-many-characters ".repeat(4);
        for strip in [made_up(0, 3, 1, 5), made_up(2, 0, 1, 5), made_up(0, 0, 1, 5), made_up(1, 2, 1, 0), nan, long] {
            assert!(has_margin(&draw(&strip), MARGIN - 4), "{}", strip.title);
            animation(&strip);
        }
    }
}
