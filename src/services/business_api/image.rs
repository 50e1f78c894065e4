//! Codes as pictures.

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::services::qrcode::{Drawing, Logo, Png};

use super::codes::found;
use super::door::Call;
use super::problem::Problem;

/// Pixels of a side, as WeChat's own pictures have.
const SIZE: usize = 430;
/// Widest that is drawn for a request: what is printed larger is an SVG.
const WIDEST: usize = 2_048;
const NARROWEST: usize = 37;

/// What a code becomes.
#[derive(Clone, Copy)]
enum Form {
    Png,
    Svg,
    /// What WeChat itself draws.
    Wechat,
}

/// `GET …/qrcodes/{scene}/image`
pub(super) async fn plain(call: Call) -> Result<Response, Problem> {
    draw(&call, None).await
}

/// `POST …/qrcodes/{scene}/image`, with the logo as PNG.
pub(super) async fn with_logo(call: Call) -> Result<Response, Problem> {
    draw(&call, Some(call.body.clone())).await
}

/// A logo is unpacked where pictures are drawn, and no more of them at once: a small PNG may be a
/// large picture.
async fn draw(call: &Call, logo: Option<Bytes>) -> Result<Response, Problem> {
    let forms = [("png", Form::Png), ("svg", Form::Svg), ("wechat", Form::Wechat)];
    let form = call.query.word("format", &forms)?.unwrap_or(Form::Png);
    let size = call.query.number("size", NARROWEST..=WIDEST, SIZE)?;
    let code = found(call).await?;
    if let Form::Wechat = form {
        if logo.is_some() {
            return Err(Problem::invalid("WeChat draws no logo: leave format=wechat out"));
        }
        let (bytes, kind) = call.codes().picture(&call.core.pictures, &code).await?;
        if !kind.starts_with("image/") {
            let said = "WeChat sent no picture: the code may have ended, or been made by another account";
            return Err(Problem::new(StatusCode::BAD_GATEWAY, "strange_answer", said));
        }
        return Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response());
    }
    let _one = call.core.drawing.acquire().await.map_err(|_| Problem::internal())?;
    let drawn = tokio::task::spawn_blocking(move || {
        let logo = logo.map(|bytes| Logo::read(&bytes)).transpose()?;
        let drawing = Drawing::of(&code.url, logo)?;
        Ok::<_, Problem>(match form {
            Form::Svg => ("image/svg+xml", drawing.svg(size).into_bytes()),
            Form::Png | Form::Wechat => {
                let Png(bytes) = drawing.png(size)?;
                ("image/png", bytes)
            }
        })
    });
    let (kind, bytes) = drawn.await.map_err(|_| Problem::internal())??;
    Ok(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}
