// bench/children/model.mjs in a page of Chromium.

import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inPage } from '../browser.mjs';

const options = JSON.parse(process.argv[2]);
const folder = statSync(options.file).isDirectory();
const places = {
  '/edge-ssm/': fileURLToPath(new URL('../../dist/', import.meta.url)),
  '/bench/': fileURLToPath(new URL('../page/', import.meta.url)),
  '/model/': folder ? options.file : dirname(options.file),
};
const source = folder ? '/model/' : `/model/${basename(options.file)}`;

const run = async (argument) => (await import('/bench/measure.js')).measure(argument);
console.log(JSON.stringify(await inPage(places, run, { ...options, source })));
