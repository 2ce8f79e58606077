//! Test-time augmentation: a network is shown each image in several ways, and the mean of what it says is what counts.
//!
//! (A. Krizhevsky, I. Sutskever and G. E. Hinton, *ImageNet classification with deep convolutional neural networks*,
//! 2012, section 4.1.)

use crate::data::{Dataset, HeldOut, ImageShape};
use crate::evaluate::{Evaluation, evaluate_while};
use crate::model::Model;
use crate::nearest;
use crate::train::Flow;
use serde::{Deserialize, Serialize};
use std::fmt;

/// In which ways a network is shown each image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Views {
    /// As it is and moved by so many pixels to each side, up and down.
    shift: Option<usize>,
    /// And each of them mirrored left to right.
    flip: bool,
}

/// One way to show an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    /// Pixels down and to the right.
    moved: [isize; 2],
    /// Mirrored left to right before it is moved.
    mirrored: bool,
}

impl Views {
    /// How many there are, the image as it is included.
    pub fn count(&self) -> usize {
        self.all().len()
    }

    /// Each of them, the image as it is first.
    pub fn all(&self) -> Vec<View> {
        let by = self.shift.unwrap_or(0) as isize;
        let moved = [[0, 0], [-by, 0], [by, 0], [0, -by], [0, by]];
        let moved = if self.shift.is_some() { &moved[..] } else { &moved[..1] };
        let mirrored = if self.flip { &[false, true][..] } else { &[false] };
        mirrored.iter().flat_map(|&mirrored| moved.iter().map(move |&moved| View { moved, mirrored })).collect()
    }

    /// Whether images of this shape can be shown so.
    ///
    /// # Errors
    /// A sentence on what is too large for them.
    pub fn check_fits(&self, shape: ImageShape) -> Result<(), String> {
        let most = shape.height.min(shape.width) / 2;
        match self.shift {
            Some(pixels) if pixels > most => Err(format!(
                "\"shift {pixels}\" moves images too far, expected at most {most} pixels for images of {shape}"
            )),
            _ => Ok(()),
        }
    }
}

impl TryFrom<Vec<String>> for Views {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Views, String> {
        let mut views = Views { shift: None, flip: false };
        for text in &texts {
            let words: Vec<&str> = text.split_whitespace().collect();
            let again = match words[..] {
                ["flip"] => std::mem::replace(&mut views.flip, true),
                ["shift", pixels] => {
                    let pixels = pixels.parse().ok().filter(|pixels| (1..=1024).contains(pixels));
                    let pixels = pixels.ok_or_else(|| {
                        format!("{text:?} has no number of pixels, expected a whole one from 1 to 1024: \"shift 1\"")
                    })?;
                    views.shift.replace(pixels).is_some()
                }
                _ => {
                    let near =
                        nearest(words.first().unwrap_or(&""), ["flip", "shift"]).filter(|near| words[0] != *near);
                    let near = near.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
                    return Err(format!("there is no view {text:?}, expected \"flip\" or \"shift 1\"{near}"));
                }
            };
            if again {
                return Err(format!("the view {:?} is there twice, expected it once", words[0]));
            }
        }
        if texts.is_empty() {
            return Err(
                "there is no view in the list, expected \"flip\" or \"shift 1\"; leave it out for none".to_owned()
            );
        }
        Ok(views)
    }
}

impl From<Views> for Vec<String> {
    fn from(views: Views) -> Vec<String> {
        let shift = views.shift.map(|pixels| format!("shift {pixels}"));
        shift.into_iter().chain(views.flip.then(|| "flip".to_owned())).collect()
    }
}

/// As a sentence has it: `shift 1, flip`.
impl fmt::Display for Views {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&Vec::from(self.clone()).join(", "))
    }
}

impl View {
    /// All images of a data set as this view shows them. Beyond its edge is an image's nearest pixel.
    #[expect(clippy::missing_panics_doc, reason = "there are as many images as there were")]
    pub fn of(self, data: &Dataset) -> Dataset {
        let (shape, View { moved: [down, right], mirrored }) = (data.shape(), self);
        let from = |to: usize, by: isize, side: usize| (to as isize - by).clamp(0, side as isize - 1) as usize;
        let column = |x: usize| {
            let x = from(x, right, shape.width);
            if mirrored { shape.width - 1 - x } else { x }
        };
        let columns: Vec<usize> = (0..shape.width).map(column).collect();
        let mut pixels = Vec::with_capacity(data.pixels().len());
        for plane in data.pixels().chunks_exact(shape.height * shape.width) {
            for y in 0..shape.height {
                let row = &plane[from(y, down, shape.height) * shape.width..][..shape.width];
                pixels.extend(columns.iter().map(|&x| row[x]));
            }
        }
        Dataset::new(pixels, data.labels().to_vec(), shape, data.classes()).expect("as many images as there were")
    }
}

/// Evaluates `model` on `data` as a view shows it, asking after each batch whether to go on; `None` if the answer was
/// [`Flow::Stop`].
///
/// # Panics
/// If the data are empty or do not fit the model.
pub fn evaluate_view_while(
    model: &Model,
    view: View,
    data: &Dataset,
    threads: usize,
    go_on: &mut dyn FnMut() -> Flow,
) -> Option<Evaluation> {
    evaluate_while(model, &view.of(data), threads, go_on)
}

impl HeldOut {
    /// [`HeldOut::evaluate_while`], with the examples as a view shows them.
    pub fn evaluate_view_while(
        &self,
        model: &Model,
        view: View,
        threads: usize,
        go_on: &mut dyn FnMut() -> Flow,
    ) -> Option<Evaluation> {
        evaluate_view_while(model, view, self.dataset(), threads, go_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{evaluate, mean_probabilities};
    use crate::model::{Architecture, Init};
    use crate::train::Pixels;
    use crate::train::testing::some_digits;
    use serde_json::json;

    fn read(value: serde_json::Value) -> Result<Views, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_reads_back_and_mistakes_are_named() {
        for (value, count) in [(json!(["flip"]), 2), (json!(["shift 2"]), 5), (json!(["shift 1", "flip"]), 10)] {
            let views = read(value.clone()).expect("it can be read");
            assert_eq!((serde_json::to_value(&views).expect("plain values"), views.count()), (value, count));
        }
        assert_eq!(read(json!(["flip", "shift  3"])).map(|views| views.to_string()), Ok("shift 3, flip".to_owned()));
        for (value, message) in [
            (json!([]), "there is no view in the list, expected \"flip\" or \"shift 1\"; leave it out for none"),
            (json!(["filp"]), "there is no view \"filp\", expected \"flip\" or \"shift 1\"; did you mean \"flip\"?"),
            (json!([""]), "there is no view \"\", expected"),
            (json!(["rotate 10"]), "there is no view \"rotate 10\", expected \"flip\" or \"shift 1\""),
            (json!(["flip 2"]), "there is no view \"flip 2\""),
            (json!(["shift 1.5"]), "\"shift 1.5\" has no number of pixels, expected a whole one from 1 to 1024"),
            (json!(["shift 0"]), "\"shift 0\" has no number of pixels"),
            (json!(["flip", "flip"]), "the view \"flip\" is there twice, expected it once"),
        ] {
            let error = read(value).expect_err("it is refused");
            assert!(error.starts_with(message), "{error}, expected {message}");
        }
        let shape = ImageShape { channels: 1, height: 28, width: 9 };
        let fits = |pixels: usize| read(json!([format!("shift {pixels}")])).expect("it can be read").check_fits(shape);
        assert_eq!(fits(4), Ok(()));
        let message = "\"shift 5\" moves images too far, expected at most 4 pixels for images of 1x28x9";
        assert_eq!(fits(5), Err(message.to_owned()));
    }

    #[test]
    fn views_are_moved_and_mirrored_pixel_by_pixel() {
        let shape = ImageShape { channels: 2, height: 3, width: 4 };
        let data = Dataset::new((0..48).collect(), vec![0, 1], shape, 2).expect("whole");
        let views = read(json!(["shift 1", "flip"])).expect("it can be read").all();
        assert!(views[0].of(&data) == data, "the first is the image as it is");
        for (n, view) in views.iter().enumerate() {
            assert!(views[..n].iter().all(|other| other != view), "{view:?} is there once");
            let (shown, [down, right]) = (view.of(&data), view.moved);
            assert_eq!(shown.labels(), data.labels());
            for (image, channel, y, x) in (0..48).map(|n| (n / 24, n / 12 % 2, n / 4 % 3, n % 4)) {
                let row = (y as isize - down).clamp(0, 2) as usize;
                let column = (x as isize - right).clamp(0, 3) as usize;
                let column = if view.mirrored { 3 - column } else { column };
                let at = |y: usize, x: usize| ((image * 2 + channel) * 3 + y) * 4 + x;
                assert_eq!(shown.pixels()[at(y, x)], data.pixels()[at(row, column)], "{view:?}, {y}, {x}");
            }
        }
    }

    /// A linear network of mirrored images is one of mirrored weights of the images as they are.
    #[test]
    fn the_mean_over_views_is_that_of_what_is_said_of_each() {
        let (data, _) = some_digits(40, 5);
        let net = Architecture::new(data.shape(), vec!["linear 10".parse().expect("a layer")], 10).expect("fits");
        let model = Model::new(net, Init::Pytorch, 3, Pixels::default());
        let held = HeldOut::new(data.clone());
        let views = read(json!(["shift 2", "flip"])).expect("it can be read");
        let of =
            |view: View| held.evaluate_view_while(&model, view, 2, &mut || Flow::Continue).expect("nobody stops it");
        let each: Vec<Vec<f32>> = views.all().into_iter().map(|view| of(view).probabilities).collect();
        assert_eq!(each[0], evaluate(&model, &data, 1).probabilities);
        let mean = mean_probabilities(each.clone());
        for (n, &mean) in mean.iter().enumerate() {
            let sum: f64 = each.iter().map(|probabilities| f64::from(probabilities[n])).sum();
            assert!((f64::from(mean) - sum / 10.0).abs() < 1e-7);
        }
        assert!(held.evaluate_view_while(&model, views.all()[1], 1, &mut || Flow::Stop).is_none());
    }
}
