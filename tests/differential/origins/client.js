// Reads answers with node's http module: one line of JSON in, one out.
const http = require('http');
const lines = require('readline').createInterface({ input: process.stdin });

lines.on('line', (line) => {
  const { port, path } = JSON.parse(line);
  let answered = false;
  const answer = (heard) => {
    if (answered) return;
    answered = true;
    process.stdout.write(JSON.stringify(heard) + '\n');
  };
  const request = http.get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
    const parts = [];
    response.on('data', (part) => parts.push(part));
    response.on('error', () => answer(null));
    response.on('end', () => answer(response.complete
      ? { status: response.statusCode, body: Buffer.concat(parts).toString('latin1') } : null));
  });
  request.on('upgrade', (response, socket) => { socket.destroy(); answer(null); });
  request.on('error', () => answer(null));
});
