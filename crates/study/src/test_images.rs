//! `test-images.csv`: where the test images of people's own data are, and which of them belong together.

use std::collections::HashMap;

use tenfold_nn::data::Splits;

/// The file in a run folder; only where something is known of its images.
pub(crate) const TEST_IMAGES: &str = "test-images.csv";

const HEADER: [&str; 5] = ["image", "class", "group", "path", "unit"];

/// Where the test images come from, as the file says it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct TestOrigins {
    /// The group of each image, by a number of its own; empty where none are known.
    pub(crate) groups: Vec<u32>,
    /// The path of each image; empty where they have none.
    pub(crate) paths: Vec<String>,
    /// Which images belong together, of one group or alike; empty where none do.
    pub(crate) units: Vec<u32>,
}

/// The text of the file; none if nothing is known.
pub(crate) fn text(splits: &Splits) -> Option<Vec<u8>> {
    let origins = &splits.test_origins;
    if origins.groups.is_empty() && origins.paths.is_empty() && origins.units.is_empty() {
        return None;
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut row = |fields: [&str; 5]| writer.write_record(fields).expect("a Vec takes every write");
    row(HEADER);
    for (n, &label) in splits.test.labels_for_report().iter().enumerate() {
        let group = origins.groups.get(n).map_or("", |&group| &origins.group_names[group as usize]);
        let path = origins.paths.get(n).map_or("", String::as_str);
        let unit = origins.units.get(n).map_or(String::new(), u32::to_string);
        row([&n.to_string(), &splits.class_names[usize::from(label)], group, path, &unit]);
    }
    writer.into_inner().ok()
}

/// What the file says of so many `images`; the error says what is wrong with it.
pub(crate) fn parse(bytes: &[u8], images: usize) -> Result<TestOrigins, String> {
    let mut reader = csv::Reader::from_reader(bytes);
    let header = reader.headers().map_err(|error| error.to_string())?;
    if !header.iter().eq(HEADER) {
        return Err(format!("its first line is not {}", HEADER.join(",")));
    }
    let mut numbers = HashMap::new();
    let mut origins = TestOrigins::default();
    for (n, row) in reader.records().enumerate() {
        let row = row.map_err(|error| error.to_string())?;
        if row.get(0) != Some(n.to_string().as_str()) {
            return Err(format!("image {n} is missing"));
        }
        if let Some(group) = row.get(2).filter(|group| !group.is_empty()) {
            let next = numbers.len() as u32;
            origins.groups.push(*numbers.entry(group.to_owned()).or_insert(next));
        }
        if let Some(path) = row.get(3).filter(|path| !path.is_empty()) {
            origins.paths.push(path.to_owned());
        }
        if let Some(unit) = row.get(4).filter(|unit| !unit.is_empty()) {
            origins
                .units
                .push(unit.parse().map_err(|_| format!("the unit of image {n} is {unit:?}, expected a number"))?);
        }
    }
    // All images have one, or none has.
    let whole = |n: usize| n == 0 || n == images;
    if whole(origins.groups.len()) && whole(origins.paths.len()) && whole(origins.units.len()) {
        return Ok(origins);
    }
    let [groups, paths, units] = [origins.groups.len(), origins.paths.len(), origins.units.len()];
    Err(format!("it has groups of {groups}, paths of {paths} and units of {units} images, expected {images}"))
}

#[cfg(test)]
mod tests {
    use tenfold_nn::data::{Dataset, HeldOut, ImageShape, Origins, Source};

    use super::*;

    fn splits(origins: Origins) -> Splits {
        let shape = ImageShape { channels: 1, height: 1, width: 1 };
        let images = |labels: &[u16]| Dataset::new(vec![0; labels.len()], labels.to_vec(), shape, 2).unwrap();
        let (train, test) = (images(&[0, 1, 0, 1]), HeldOut::new(images(&[1, 0, 1])));
        let (name, sha256) = ("any".to_owned(), "any".to_owned());
        let source = Source { name, train, test, first_label: 0, sha256, files: Vec::new(), notes: Vec::new() };
        let mut splits = source.split(1, 0).unwrap();
        splits.test_origins = origins;
        splits.class_names = vec!["cat".to_owned(), "a \"dog\",\nor so".to_owned()];
        splits
    }

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(text(&splits(Origins::default())), None);
        let paths = ["a,b.png", "\"\u{e9}\".png", "c\nd.png"].map(str::to_owned).to_vec();
        let group_names = ["ann", "bob, too"].map(str::to_owned).to_vec();
        let both = Origins {
            groups: vec![1, 0, 1],
            group_names: group_names.clone(),
            paths: paths.clone(),
            units: vec![0, 1, 0],
        };
        let written = text(&splits(both)).unwrap();
        assert_eq!(
            String::from_utf8(written.clone()).unwrap(),
            "image,class,group,path,unit\n0,\"a \"\"dog\"\",\nor so\",\"bob, too\",\"a,b.png\",0\n1,cat,ann,\"\"\"\u{e9}\"\".png\",1\n\
             2,\"a \"\"dog\"\",\nor so\",\"bob, too\",\"c\nd.png\",0\n"
        );
        assert_eq!(parse(&written, 3), Ok(TestOrigins { groups: vec![0, 1, 0], paths, units: vec![0, 1, 0] }));
        let groups = Origins { groups: vec![0, 0, 1], group_names, ..Origins::default() };
        let written = text(&splits(groups)).unwrap();
        assert_eq!(parse(&written, 3), Ok(TestOrigins { groups: vec![0, 0, 1], ..TestOrigins::default() }));
    }

    #[test]
    fn what_was_edited_is_refused() {
        let refused = |text: &str| parse(text.as_bytes(), 2).unwrap_err();
        assert_eq!(refused("image,class\n"), "its first line is not image,class,group,path,unit");
        assert_eq!(refused("image,class,group,path,unit\n1,cat,,a,\n"), "image 0 is missing");
        assert_eq!(
            refused("image,class,group,path,unit\n0,cat,,a,\n1,dog,g,b,\n"),
            "it has groups of 1, paths of 2 and units of 0 images, expected 2"
        );
        assert!(refused("image,class,group,path,unit\n0,cat\n").contains("found record with 2 fields"));
        assert!(parse(b"\xff", 2).is_err());
    }
}
