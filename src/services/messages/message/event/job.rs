//! A mass sending, a template message or a publication is done.
//!
//! Their sender is WeChat or the last receiver: the right answer is `success`.

use crate::services::messages::message::table::{items, messages};

messages! {
    /// What the account had asked for and how it ended.
    pub enum Job<'a> {
        /// A template message was delivered, or not.
        TemplateSent = "TEMPLATESENDJOBFINISH" {
            /// Of the message.
            msg_id: Option<u64> = "MsgID",
            /// `success`, `failed:user block`, `failed: system failed`.
            status: &'a str = "Status",
        },
        /// A mass sending is over.
        MassSent = "MASSSENDJOBFINISH" {
            /// Of the sending.
            msg_id: Option<u64> = "MsgID",
            /// `send success`, `send fail`, `err(10001)` and others.
            status: &'a str = "Status",
            /// How many receivers were meant.
            total: Option<u64> = "TotalCount",
            /// How many were left after filtering.
            filtered: Option<u64> = "FilterCount",
            /// How many have it.
            sent: Option<u64> = "SentCount",
            /// How many do not.
            failed: Option<u64> = "ErrorCount",
            /// What was found of copyright: 1 sent, 2 to be confirmed, 3 not allowed.
            copyright_state: Option<u64> = "CopyrightCheckResult/CheckState",
            /// What was found of each article.
            copyright: Vec<CopyrightCheck<'a>> = "CopyrightCheckResult/ResultList/item",
            /// Where the articles are.
            articles: Vec<SentArticle<'a>> = "ArticleUrlResult/ResultList/item",
        },
        /// Articles were published, or not.
        Published = "PUBLISHJOBFINISH" {
            /// Of the publication.
            publish_id: Option<u64> = "PublishEventInfo/publish_id",
            /// 0 published, 1 in work, 2 refused for originality, 3 failed, 4 refused by review,
            /// 5 deleted by the account, 6 removed by WeChat.
            status: Option<u64> = "PublishEventInfo/publish_status",
            /// Of the articles, if they are published.
            article_id: Option<&'a str> = "PublishEventInfo/article_id",
            /// Where they are.
            articles: Vec<PublishedArticle<'a>> = "PublishEventInfo/article_detail/item",
            /// Which were refused, counted from 1.
            failed: Vec<u64> = "PublishEventInfo/fail_idx",
        },
    }
}

items! {
    /// What was found of an article's copyright.
    pub struct CopyrightCheck<'a> {
        /// Which article, counted from 1.
        index: Option<u64> = "ArticleIdx",
        /// What the user said: 0 nothing, 1 original, 2 not original.
        declared: Option<u64> = "UserDeclareState",
        /// What WeChat said: 0 nothing, 1 original, 2 passed on.
        audited: Option<u64> = "AuditState",
        /// Where the original is.
        original_url: &'a str = "OriginalArticleUrl",
        /// 1 text, 2 video.
        original_type: Option<u64> = "OriginalArticleType",
        /// Whether it may be passed on.
        may_reprint: Option<bool> = "CanReprint",
        /// Whether the original's content must take its place.
        must_replace: Option<bool> = "NeedReplaceContent",
        /// Whether the source must be shown.
        must_name_source: Option<bool> = "NeedShowReprintSource",
    }

    /// An article that was sent.
    pub struct SentArticle<'a> {
        /// Which article, counted from 1.
        index: Option<u64> = "ArticleIdx",
        /// Where it is.
        url: &'a str = "ArticleUrl",
    }

    /// An article that was published.
    pub struct PublishedArticle<'a> {
        /// Which article, counted from 1.
        index: Option<u64> = "idx",
        /// Where it is.
        url: &'a str = "article_url",
    }
}
