//! A picture for the middle of a code.

use std::io::Cursor;

/// Widest and highest logo, in pixels: it is shown much smaller.
const WIDEST: u32 = 2_048;

/// A logo, read from PNG.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    bytes: Vec<u8>,
    /// Three to a pixel, on white.
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

/// Why a file is no logo.
#[derive(Debug, thiserror::Error)]
pub enum LogoError {
    /// Another format, or broken.
    #[error("it is no PNG that can be read")]
    NotPng(#[source] png::DecodingError),
    /// Too large.
    #[error("it has {0} by {1} pixels: {WIDEST} by {WIDEST} are the most")]
    TooLarge(u32, u32),
}

impl Logo {
    /// Reads a PNG of any kind.
    ///
    /// # Errors
    /// It is none, or too large.
    pub fn read(bytes: &[u8]) -> Result<Self, LogoError> {
        let mut decoder = png::Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(LogoError::NotPng)?;
        let (width, height) = (reader.info().width, reader.info().height);
        if width > WIDEST || height > WIDEST {
            return Err(LogoError::TooLarge(width, height));
        }
        let mut raw = vec![0; reader.output_buffer_size().unwrap_or_default()];
        let info = reader.next_frame(&mut raw).map_err(LogoError::NotPng)?;
        let samples = info.color_type.samples();
        let pixels = raw.chunks_exact(samples).flat_map(on_white).collect();
        let of = |side: u32| usize::try_from(side).unwrap_or_default();
        Ok(Self { bytes: bytes.to_vec(), pixels, width: of(width), height: of(height) })
    }

    /// As it was read.
    pub(super) fn png(&self) -> &[u8] {
        &self.bytes
    }

    /// Its colour at a place of a square of this size, in which it is centred and whole.
    pub(super) fn at(&self, x: usize, y: usize, size: usize) -> [u8; 3] {
        let longer = self.width.max(self.height).max(1);
        let inner = |at: usize, own: usize| {
            let scaled = (at * longer / size.max(1)).checked_sub((longer - own) / 2)?;
            (scaled < own).then_some(scaled)
        };
        let pixel = inner(x, self.width).zip(inner(y, self.height)).and_then(|(x, y)| {
            let offset = (y * self.width + x) * 3;
            self.pixels.get(offset..offset + 3)
        });
        pixel.and_then(|pixel| pixel.try_into().ok()).unwrap_or([255; 3])
    }
}

/// A pixel of one to four samples (grey or colour, perhaps with its opacity), on white paper.
fn on_white(pixel: &[u8]) -> [u8; 3] {
    let over = |sample: u8, opacity: u8| {
        let (sample, opacity) = (u16::from(sample), u16::from(opacity));
        u8::try_from((sample * opacity + 255 * (255 - opacity)) / 255).unwrap_or(255)
    };
    match *pixel {
        [grey] => [grey; 3],
        [grey, opacity] => [over(grey, opacity); 3],
        [red, green, blue] => [red, green, blue],
        [red, green, blue, opacity] => [red, green, blue].map(|sample| over(sample, opacity)),
        _ => [255; 3],
    }
}

impl std::fmt::Debug for Logo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Logo({} by {})", self.width, self.height)
    }
}
