//! The HTML page of one network, and that of the gallery.
