// The stand-in for WeChat's script in a preview: it takes every call, shows it at the bottom of the
// page, and answers as WeChat does when all is well. It reaches nobody.
(function () {
  "use strict";
  var APIS = "checkJsApi updateAppMessageShareData updateTimelineShareData onMenuShareTimeline onMenuShareAppMessage onMenuShareQQ onMenuShareWeibo onMenuShareQZone startRecord stopRecord onVoiceRecordEnd playVoice pauseVoice stopVoice onVoicePlayEnd uploadVoice downloadVoice chooseImage previewImage uploadImage downloadImage getLocalImgData translateVoice getNetworkType openLocation getLocation hideOptionMenu showOptionMenu hideMenuItems showMenuItems hideAllNonBaseMenuItem showAllNonBaseMenuItem closeWindow scanQRCode chooseWXPay openProductSpecificView addCard chooseCard openCard".split(" ");
  var given = null, calls = [], list = null;
  function show(name, what) {
    calls.push({ name: name, given: what });
    if (!list) { return; }
    var row = document.createElement("pre");
    row.style.cssText = "margin:4px 0;white-space:pre-wrap;word-break:break-all;font:12px/1.4 monospace";
    row.textContent = "wx." + name + "(" + JSON.stringify(what, null, 1) + ")";
    list.appendChild(row);
  }
  function panel() {
    var box = document.createElement("details");
    box.id = "zhongkong-preview";
    box.open = true;
    box.style.cssText = "margin:24px 0 0;padding:8px 12px;border-top:3px solid #fa9d3b;background:#fff8ee;color:#333;text-align:left";
    var head = document.createElement("summary");
    head.textContent = "Preview: WeChat is not here, and this is what it would be told";
    head.style.cssText = "font:bold 13px/1.6 sans-serif";
    box.appendChild(head);
    var verdict = document.createElement("p");
    verdict.style.cssText = "margin:4px 0;font:13px/1.5 sans-serif";
    verdict.textContent = VERDICT;
    box.appendChild(verdict);
    list = document.createElement("div");
    box.appendChild(list);
    document.body.appendChild(box);
    var before = calls;
    calls = [];
    before.forEach(function (call) { show(call.name, call.given); });
  }
  function later(f) { setTimeout(f, 0); }
  var wx = {
    config: function (what) { given = what || {}; show("config", given); },
    ready: function (f) { later(function () { if (given) { f(); } }); },
    error: function () {}
  };
  APIS.forEach(function (name) {
    wx[name] = function (what) {
      what = what || {};
      show(name, what);
      var answer = { errMsg: name + ":ok" };
      if (name === "checkJsApi") {
        answer.checkResult = {};
        (what.jsApiList || []).forEach(function (api) { answer.checkResult[api] = APIS.indexOf(api) >= 0; });
      } else if (given && (given.jsApiList || []).indexOf(name) < 0) {
        answer.errMsg = name + ":permission denied";
        later(function () { (what.fail || Object)(answer); (what.complete || Object)(answer); });
        return;
      }
      later(function () { (what.success || Object)(answer); (what.complete || Object)(answer); });
    };
  });
  window.wx = window.jWeixin = wx;
  if (document.body) { later(panel); } else { document.addEventListener("DOMContentLoaded", panel); }
})();
