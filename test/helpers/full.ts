/** `npm run test:full`. */
export const FULL = process.env.EDGE_SSM_FULL === '1';
