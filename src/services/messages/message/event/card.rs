//! Cards and vouchers (卡券), gift cards among them. Money is in fen.

use crate::services::messages::message::table::messages;

messages! {
    /// What happened to a card. `card_id` is the kind of card, `code` the user's one.
    pub enum Card<'a> {
        /// WeChat allows the card.
        Passed = "card_pass_check" {
            /// The kind of card.
            card_id: &'a str = "CardId",
        },
        /// WeChat does not allow the card.
        NotPassed = "card_not_pass_check" {
            /// The kind of card.
            card_id: &'a str = "CardId",
            /// Why.
            reason: &'a str = "RefuseReason",
        },
        /// A user took a card.
        Taken = "user_get_card" {
            /// The kind of card.
            card_id: &'a str = "CardId",
            /// The card.
            code: &'a str = "UserCardCode",
            /// Whether a friend gave it.
            given_by_friend: Option<bool> = "IsGiveByFriend",
            /// The friend's openid.
            friend: Option<&'a str> = "FriendUserName",
            /// What the friend's card was.
            old_code: Option<&'a str> = "OldUserCardCode",
            /// Where it was taken, as a number of the account's own.
            outer_id: Option<u64> = "OuterId",
            /// Where it was taken, as a text of the account's own.
            outer_str: Option<&'a str> = "OuterStr",
            /// Whether a member's card was restored after it had been deleted.
            restored: Option<bool> = "IsRestoreMemberCard",
            /// Whether a friend recommended it.
            recommended_by_friend: Option<bool> = "IsRecommendByFriend",
            /// The user in all apps of the company.
            union_id: Option<&'a str> = "UnionId",
        },
        /// A user gives a card away.
        Gifting = "user_gifting_card" {
            /// The kind of card.
            card_id: &'a str = "CardId",
            /// The card.
            code: &'a str = "UserCardCode",
            /// Whether it came back because nobody took it.
            returned: Option<bool> = "IsReturnBack",
            /// The receiver's openid.
            friend: Option<&'a str> = "FriendUserName",
            /// Whether it was given to a group.
            to_group: Option<bool> = "IsChatRoom",
        },
        /// A user deleted a card.
        Deleted = "user_del_card" {
            /// The kind of card.
            card_id: &'a str = "CardId",
            /// The card.
            code: &'a str = "UserCardCode",
        },
        /// A user came into the conversation from a card.
        EnteredSession = "user_enter_session_from_card" {
            /// The kind of card.
            card_id: &'a str = "CardId",
            /// The card.
            code: &'a str = "UserCardCode",
        },
        /// A user made a member's card theirs by filling in their data.
        MemberInfoSubmitted = "submit_membercard_user_info" {
            /// The kind of card.
            card_id: &'a str = "CardId",
            /// The card.
            code: &'a str = "UserCardCode",
        },
        /// A card was used up.
        Consumed = "user_consume_card" {
            /// The kind of card.
            card_id: &'a str = "CardId",
            /// The card.
            code: &'a str = "UserCardCode",
            /// `FROM_API`, `FROM_MP`, `FROM_MOBILE_HELPER`.
            source: &'a str = "ConsumeSource",
            /// The shop.
            shop: Option<&'a str> = "LocationName",
            /// Who took it: an openid.
            staff: Option<&'a str> = "StaffOpenId",
            /// The code for taking it without a scan.
            verify_code: Option<&'a str> = "VerifyCode",
            /// What was noted as paid.
            remark_amount: Option<&'a str> = "RemarkAmount",
            /// Where it was taken, as a text of the account's own.
            outer_str: Option<&'a str> = "OuterStr",
        },
        /// A user paid with the help of a card.
        Paid = "user_pay_from_pay_cell" {
            /// The kind of card.
            card_id: &'a str = "CardId",
            /// The card.
            code: &'a str = "UserCardCode",
            /// The payment at WeChat.
            transaction: &'a str = "TransId",
            /// The shop.
            shop_id: Option<u64> = "LocationId",
            /// What was paid, in fen.
            fee: Option<u64> = "Fee",
            /// What it would have been, in fen.
            original_fee: Option<u64> = "OriginalFee",
        },
        /// A user looked at a card.
        Viewed = "user_view_card" {
            /// The kind of card.
            card_id: &'a str = "CardId",
            /// The card.
            code: &'a str = "UserCardCode",
            /// Where it was taken, as a text of the account's own.
            outer_str: Option<&'a str> = "OuterStr",
        },
        /// The balance of a member's card changed.
        MemberUpdated = "update_member_card" {
            /// The kind of card.
            card_id: &'a str = "CardId",
            /// The card.
            code: &'a str = "UserCardCode",
            /// Points more, or, below zero, less.
            bonus: Option<i64> = "ModifyBonus",
            /// Money more, or, below zero, less.
            balance: Option<i64> = "ModifyBalance",
        },
        /// Few cards are left.
        StockLow = "card_sku_remind" {
            /// The kind of card.
            card_id: &'a str = "CardId",
            /// What WeChat says of it.
            detail: &'a str = "Detail",
        },
        /// Coins for friends' cards (券点) were bought or came back.
        CoinsOrdered = "card_pay_order" {
            /// The order.
            order_id: &'a str = "OrderId",
            /// `ORDER_STATUS_…`
            status: &'a str = "Status",
            /// When it was made, in Unix seconds.
            created: Option<u64> = "CreateOrderTime",
            /// When it was paid, in Unix seconds.
            paid: Option<u64> = "PayFinishTime",
            /// What it is for.
            description: &'a str = "Desc",
            /// Coins for nothing.
            free_coins: Option<u64> = "FreeCoinCount",
            /// Coins paid for.
            paid_coins: Option<u64> = "PayCoinCount",
            /// Coins for nothing that came back.
            refunded_free_coins: Option<u64> = "RefundFreeCoinCount",
            /// Coins paid for that came back.
            refunded_paid_coins: Option<u64> = "RefundPayCoinCount",
            /// `ORDER_TYPE_…`
            order_type: &'a str = "OrderType",
            /// What was noted.
            memo: &'a str = "Memo",
            /// Of the receipt.
            receipt: &'a str = "ReceiptInfo",
        },
        /// A gift card was paid for.
        GiftPaid = "giftcard_pay_done" {
            /// The shelf.
            page_id: &'a str = "PageId",
            /// The order.
            order_id: &'a str = "OrderId",
        },
        /// A gift card was sent to a friend.
        GiftSent = "giftcard_send_to_friend" {
            /// The shelf.
            page_id: &'a str = "PageId",
            /// The order.
            order_id: &'a str = "OrderId",
            /// Whether it was sent to a group.
            to_group: Option<bool> = "IsChatRoom",
            /// Whether it came back because nobody took it within a day.
            returned: Option<bool> = "IsReturnBack",
        },
        /// A friend took a gift card.
        GiftAccepted = "giftcard_user_accept" {
            /// The shelf.
            page_id: &'a str = "PageId",
            /// The order.
            order_id: &'a str = "OrderId",
            /// Whether it was sent to a group.
            to_group: Option<bool> = "IsChatRoom",
        },
    }
}
