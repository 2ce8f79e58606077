//! Pictures as text for terminals: half blocks with 24-bit colour, sixel, and kitty's protocol.
