//! What a rule does: a reply with texts to fill in, or a program that is asked.

use std::cell::LazyCell;

use crate::services::messages::reply::{Answer, Article, Music, Reply, Video};

use super::template::{Context, RenderError, Templates, Text};

/// What a rule does.
#[derive(Debug)]
pub(super) enum Action {
    /// Answers.
    Reply(Form),
    /// Hands the message to the business program of this name.
    Forward(Box<str>),
}

/// An answer whose texts are not filled in.
#[derive(Debug)]
pub(super) enum Form {
    Success,
    Empty,
    Text(Text),
    Image(Text),
    Voice(Text),
    Video { media_id: Text, title: Option<Text>, description: Option<Text> },
    Music(Box<MusicForm>),
    News(Vec<ArticleForm>),
    Transfer(Option<Text>),
}

#[derive(Debug)]
pub(super) struct MusicForm {
    pub(super) title: Option<Text>,
    pub(super) description: Option<Text>,
    pub(super) url: Option<Text>,
    pub(super) hq_url: Option<Text>,
    pub(super) thumb_media_id: Text,
}

#[derive(Debug)]
pub(super) struct ArticleForm {
    pub(super) title: Text,
    pub(super) description: Option<Text>,
    pub(super) pic_url: Option<Text>,
    pub(super) url: Text,
}

/// The filling in of one answer.
struct Filler<'a, F> {
    templates: &'a Templates,
    /// Made for the first template: most replies have none.
    context: LazyCell<Context, F>,
}

impl<F: FnOnce() -> Context> Filler<'_, F> {
    /// A text that may be empty.
    fn any(&self, text: &Text, place: &str) -> Result<String, RenderError> {
        match text {
            Text::Plain(text) => Ok(text.to_string()),
            Text::Template(name) => self.templates.render(name, place, &self.context),
        }
    }

    /// A text that must say something: WeChat takes an empty one for a broken service.
    fn some(&self, text: &Text, place: &str) -> Result<String, RenderError> {
        let filled = self.any(text, place)?;
        if filled.trim().is_empty() {
            let what = "has come out empty".to_owned();
            return Err(RenderError { place: place.to_owned(), what, detail: None });
        }
        Ok(filled)
    }

    /// A text that is left out if it is empty.
    fn maybe(&self, text: Option<&Text>, place: &str) -> Result<Option<String>, RenderError> {
        let filled = text.map(|text| self.any(text, place)).transpose()?;
        Ok(filled.filter(|filled| !filled.is_empty()))
    }
}

impl Form {
    /// Whether it answers every message: what needs a field may lack it.
    pub(super) fn cannot_fail(&self) -> bool {
        match self {
            Self::Success | Self::Empty | Self::Transfer(None) => true,
            Self::Text(text) | Self::Image(text) | Self::Voice(text) => matches!(text, Text::Plain(_)),
            Self::Video { .. } | Self::Music(_) | Self::News(_) | Self::Transfer(Some(_)) => false,
        }
    }

    /// The answer for a message.
    ///
    /// # Errors
    /// A text cannot be written.
    pub(super) fn fill(
        &self,
        templates: &Templates,
        context: impl FnOnce() -> Context,
    ) -> Result<Answer, RenderError> {
        let fill = Filler { templates, context: LazyCell::new(context) };
        let reply = match self {
            Self::Success => return Ok(Answer::Success),
            Self::Empty => return Ok(Answer::Empty),
            Self::Text(content) => Reply::Text { content: fill.some(content, "reply.text")? },
            Self::Image(media) => Reply::Image { media_id: fill.some(media, "reply.image")? },
            Self::Voice(media) => Reply::Voice { media_id: fill.some(media, "reply.voice")? },
            Self::Video { media_id, title, description } => Reply::Video(Video {
                media_id: fill.some(media_id, "reply.video.media_id")?,
                title: fill.maybe(title.as_ref(), "reply.video.title")?,
                description: fill.maybe(description.as_ref(), "reply.video.description")?,
            }),
            Self::Music(music) => {
                let MusicForm { title, description, url, hq_url, thumb_media_id } = &**music;
                Reply::Music(Music {
                    title: fill.maybe(title.as_ref(), "reply.music.title")?,
                    description: fill.maybe(description.as_ref(), "reply.music.description")?,
                    url: fill.maybe(url.as_ref(), "reply.music.url")?,
                    hq_url: fill.maybe(hq_url.as_ref(), "reply.music.hq_url")?,
                    thumb_media_id: fill.some(thumb_media_id, "reply.music.thumb_media_id")?,
                })
            }
            Self::News(articles) => {
                let articles: Result<_, _> = articles.iter().map(|article| article.fill(&fill)).collect();
                Reply::News { articles: articles? }
            }
            Self::Transfer(account) => {
                Reply::TransferCustomerService { account: fill.maybe(account.as_ref(), "reply.transfer")? }
            }
        };
        Ok(Answer::Reply(reply))
    }
}

impl ArticleForm {
    fn fill(&self, fill: &Filler<'_, impl FnOnce() -> Context>) -> Result<Article, RenderError> {
        let Self { title, description, pic_url, url } = self;
        let or_empty =
            |text: &Option<Text>, place| fill.maybe(text.as_ref(), place).map(Option::unwrap_or_default);
        Ok(Article {
            title: fill.some(title, "reply.news.title")?,
            description: or_empty(description, "reply.news.description")?,
            pic_url: or_empty(pic_url, "reply.news.pic_url")?,
            url: fill.some(url, "reply.news.url")?,
        })
    }
}
