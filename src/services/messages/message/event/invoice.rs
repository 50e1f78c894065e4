//! Electronic invoices (电子发票).

use crate::services::messages::message::table::messages;

messages! {
    /// What happened to an invoice.
    pub enum Invoice<'a> {
        /// A user allowed an invoice to be made.
        Authorized = "user_authorize_invoice" {
            /// The order, if it went well.
            succeeded_order: Option<&'a str> = "SuccOrderId",
            /// The order, if it did not.
            failed_order: Option<&'a str> = "FailOrderId",
            /// The account that the user allowed it to.
            app_id: &'a str = "AuthorizeAppId|AppId",
            /// `web` or `app`.
            source: &'a str = "Source",
        },
        /// The state of an invoice changed.
        StatusUpdated = "update_invoice_status" {
            /// `INVOICE_REIMBURSE_INIT`, `…_LOCK`, `…_CLOSURE`.
            status: &'a str = "Status",
            /// The kind of invoice.
            card_id: &'a str = "CardId",
            /// The invoice.
            code: &'a str = "Code",
        },
        /// A user handed in whom invoices are to be made out to.
        TitleSubmitted = "submit_invoice_title" {
            /// The name.
            title: &'a str = "title",
            /// Of a company.
            tax_no: &'a str = "tax_no",
            /// Of a company.
            address: &'a str = "addr",
            /// Of a company.
            phone: &'a str = "phone",
            /// The bank.
            bank: &'a str = "bank_type",
            /// The number of the bank account.
            bank_no: &'a str = "bank_no",
            /// What the link that the user followed carried.
            attach: &'a str = "attach",
            /// `InvoiceUserTitlePersonType` or `InvoiceUserTitleBusinessType`.
            title_type: &'a str = "title_type",
        },
    }
}
