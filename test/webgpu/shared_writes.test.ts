import { expect, test } from 'vitest';
import { componentWrites } from './shared_writes.ts';

const MODULE = `
struct Pair { four: vec4<f32>, count: u32, }
alias Tile = array<vec4<f32>, 2 * (4 + 1)>;
var<workgroup> tile: array<vec4<f32>, 64>;
var<workgroup> named: Tile;
var<workgroup> one: vec3u;
var<workgroup> turned: mat4x4<f32>;
var<workgroup> pairs: array<Pair, 8>;
var<workgroup> numbers: array<array<f32, 4>, 16>;
var<workgroup> flags: array<atomic<u32>, 4>;
@group(0) @binding(0) var<storage, read_write> rows: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
`;
const within = (body: string) =>
  componentWrites(`${MODULE}
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  ${body}
}`);

test.each([
  ['a component by index', 'tile[lane / 4u][lane % 4u] = 1.0;', 'tile[lane/4u][lane%4u]'],
  ['a component by name', 'tile[lane].x = 1.0;', 'tile[lane].x'],
  ['an index with brackets of its own', 'tile[(lane + u32(input[0].x)) / 4u][0] = 1.0;', null],
  ['a sum', 'tile[lane].y += 1.0;', null],
  ['a shift', 'one.x <<= 2u;', 'one.x'],
  ['a shift to the right', 'one[lane] >>= 2u;', null],
  ['a product', 'tile[lane][2] *= 2.0;', null],
  ['a count', 'one.z++;', 'one.z'],
  ['an alias of a type', 'named[lane][1] = 1.0;', null],
  ['a member', 'pairs[lane].four.w = 1.0;', 'pairs[lane].four.w'],
  ['a column', 'turned[lane] = vec4<f32>();', 'turned[lane]'],
  ['a component of a column', 'turned[1][lane] -= 1.0;', null],
  ['storage', 'rows[lane / 4u][lane % 4u] += 1.0;', null],
  ['brackets', '(tile[lane]).x = 1.0;', null],
  ['a pointer', 'let p = &tile[lane]; (*p).x = 1.0;', null],
  ['a pointer without its star', 'let p = &pairs[lane].four; p.x = 1.0;', 'p.x'],
  ['a loop', 'for (var i = 0u; i < 4u; tile[i].x += 1.0) { i++; }', null],
  [
    'after a name that hid it',
    'if (lane > 1u) { var tile = vec4<f32>(); tile.x = 1.0; } tile[0].x = 1.0;',
    null,
  ],
  ['a condition without braces around it', 'if (lane == 0u) { } else { tile[3].z = f32(lane); }', null],
])('found: %s', (_, body, place) => {
  expect(within(body)).toEqual([place ?? expect.any(String)]);
});

test('found: through a parameter', () => {
  const code = `${MODULE}
fn put(p: ptr<workgroup, array<vec4<f32>, 64>>, at: u32) { (*p)[at].x = 1.0; }`;
  expect(componentWrites(code)).toEqual(['(*p)[at].x']);
});

test('found: before the variable', () => {
  expect(componentWrites('fn f() { v.x = 1.0; }\nvar<workgroup> v: vec2f;')).toEqual(['v.x']);
});

test.each([
  ['a whole vector', 'tile[lane] = vec4<f32>(1.0);'],
  ['a whole vector of a sum', 'tile[lane] += tile[lane + 1u];'],
  ['a component that is read', 'let x = tile[lane][lane % 4u]; tile[lane] = vec4<f32>(tile[0].x);'],
  [
    'a component that is compared',
    'if (tile[lane].x == 1.0 || one.x <= 2u || one.y >= 2u || one.z != 1u) { return; }',
  ],
  ['arithmetic', 'let y = tile[lane].x - -tile[lane].y * tile[0].z / tile[1].w;'],
  ['a whole matrix', 'turned = mat4x4<f32>();'],
  ['a scalar', 'numbers[lane][3] = 1.0;'],
  ['a scalar of a struct', 'pairs[lane].count += 1u;'],
  ['a whole struct', 'pairs[lane] = Pair();'],
  ['an atomic', 'atomicAdd(&flags[lane % 4u], one.x);'],
  ['a local of the same name', 'var tile: array<vec4<f32>, 2>; tile[1].x = 1.0;'],
  ['a local of the same name in a loop', 'for (var one = vec3u(); one.x < 4u; one.x++) { one.y = 1u; }'],
  ['a local copy', 'var four = rows[lane]; four[lane % 4u] = 1.0; rows[lane] = four;'],
  ['a comment', '// tile[0].x = 1.0;\n /* tile[0].x = 1.0; */'],
  ['a pointer to a local', 'var own = vec4<f32>(); let p = &own; (*p).x = 1.0;'],
  ['the member of a local of another name', 'var other = Pair(); other.four.x = 1.0; other.four[1] = 2.0;'],
])('not found: %s', (_, body) => {
  expect(within(body)).toEqual([]);
});

test('not found: a parameter of the same name', () => {
  const code = `${MODULE}
fn f(tile: ptr<function, vec4<f32>>) { (*tile).x = 1.0; }
fn g(one: vec3u) -> u32 { var two = one; two.x = 1u; return two.x; }`;
  expect(componentWrites(code)).toEqual([]);
});
