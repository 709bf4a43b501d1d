import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { serve } from './browser.mjs';
import { SCRATCH } from './models.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The bench as a page, for the browsers of this machine; models of the scratch folder are under /scratch/. */
export function serveBench(port = 0) {
  const places = {
    '/edge-ssm/': here('../dist/'),
    '/models/tiny/': here('../models/tiny/'),
    '/bench/': here('page/'),
    '/scratch/': SCRATCH,
  };
  return serve(places, { page: readFileSync(here('page/index.html')), port });
}
