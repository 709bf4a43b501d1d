#!/usr/bin/env node
// Draws README's picture, docs/story.svg: a terminal that shows what `npx edge-ssm` prints.
// `--check` compares the picture with what the build in dist/ prints, and writes nothing.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const COLUMNS = 96;
const CHARACTER = 8.43; // width of one at 14 pixels, in most monospaced fonts
const LINE = 20;
const MARGIN = 16;
const COLORS = { background: '#0d1117', text: '#e6edf3', prompt: '#7ee787', note: '#8b949e' };

const file = fileURLToPath(new URL('../docs/story.svg', import.meta.url));
const cli = fileURLToPath(new URL('../dist/node/cli.js', import.meta.url));

/** Lines of at most COLUMNS characters, cut between words. */
function wrap(line) {
  const lines = [''];
  for (const word of line.trimEnd().split(' ')) {
    const longer = lines.at(-1) === '' ? word : `${lines.at(-1)} ${word}`;
    if (longer.length <= COLUMNS) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function draw(story) {
  const rows = ['$ npx edge-ssm', ...story.trimEnd().split('\n').flatMap(wrap)];
  const color = (row) =>
    row.startsWith('$ ') ? COLORS.prompt : row.startsWith('[ ') ? COLORS.note : COLORS.text;
  const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const texts = rows.map((row, i) =>
    row === ''
      ? ''
      : `<text x="${MARGIN}" y="${MARGIN + (i + 0.7) * LINE}" fill="${color(row)}">${escaped(row)}</text>\n`,
  );
  const width = Math.ceil(COLUMNS * CHARACTER + 2 * MARGIN);
  const height = rows.length * LINE + 2 * MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
<title>npx edge-ssm tells a story with two endings</title>
<rect width="100%" height="100%" rx="8" fill="${COLORS.background}"/>
${texts.join('')}</svg>
`;
}

const story = execFileSync(process.execPath, [cli, '--backend', 'wasm'], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'ignore'],
});
const picture = draw(story);
if (!process.argv.includes('--check')) writeFileSync(file, picture);
else if (readFileSync(file, 'utf8') !== picture) {
  console.error('docs/story.svg is not what npx edge-ssm prints: draw it again by node scripts/picture.mjs');
  process.exitCode = 1;
}
