//! Shows what a study found: tables for people, pictures of filters and feature maps, learning curves.
//!
//! Everything here is a pure function: the same input gives the same bytes on every machine. Nothing is read, written
//! or measured, and no statistic is computed; numbers arrive finished and leave as text or pixels.

#![forbid(unsafe_code)]

pub mod text;

pub mod calibration;
pub mod comparison;

pub mod curves;
pub mod data;
pub mod feature_maps;
pub mod filters;
pub mod html;
pub mod look;

pub mod classes;
pub mod colormap;
pub mod font;
pub mod format;
pub mod picture;

mod heading;
mod legend;
mod plot;
