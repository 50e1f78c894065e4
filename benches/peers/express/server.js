// Message services on Node: npm's wechat under express, or co-wechat under koa. Two workers.
//
//   node server.js express|koa PORT
//
// What they answer is what zhongkong's rules answer. Nothing here is ours but these lines; the modules
// are found by NODE_PATH.
'use strict';

const cluster = require('node:cluster');

const WORKERS = 2;
const [, , which, port] = process.argv;
const config = {
  token: 'pamtest',
  appid: 'wxb11529c136998cb6',
  encodingAESKey: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
};

const answer = (message) => (message.Content.includes('营业时间') ? '每天 9:00 到 21:00' : '');

function express() {
  const app = require('express')();
  app.use('/wechat/shop', require('wechat')(config, (request, response) => response.reply(answer(request.weixin))));
  return app;
}

function koa() {
  const Koa = require('koa');
  const app = new Koa();
  app.use(require('co-wechat')(config).middleware(async (message) => answer(message)));
  return app;
}

if (cluster.isPrimary) {
  for (let worker = 0; worker < WORKERS; worker += 1) cluster.fork();
  cluster.on('exit', () => process.exit(1));
} else {
  ({ express, koa })[which]().listen(Number(port), '127.0.0.1');
}
