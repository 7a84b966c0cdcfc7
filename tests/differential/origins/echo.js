// An echo server on node's http module: node echo.js PORT LOG
const fs = require('fs');
const http = require('http');
const [port, log] = process.argv.slice(2);

http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    if (!request.complete) return;
    const body = Buffer.concat(parts).toString('latin1');
    fs.appendFileSync(log, JSON.stringify([request.method, request.url, body]) + '\n', 'latin1');
    response.end('seen');
  });
}).listen(Number(port), '127.0.0.1');
