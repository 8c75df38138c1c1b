// QR codes (ISO/IEC 18004) for the page of a link: the secret part of a link never reaches the server, so its code
// is made here. Byte mode, level M or, for long texts, L.
'use strict';

const qrCode = (() => {
  // Error correction bytes of a block, and numbers of blocks, by level and version.
  const LEVELS = [
    {
      bits: 0, // M
      ecc: [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26, 26, 28, 28, 28, 28, 28, 28,
        28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28],
      blocks: [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16, 17, 17, 18, 20, 21, 23, 25, 26, 28, 29,
        31, 33, 35, 37, 38, 40, 43, 45, 47, 49],
    },
    {
      bits: 1, // L
      ecc: [7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28, 28, 28, 30, 30, 26, 28, 30,
        30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30],
      blocks: [1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8, 8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17,
        18, 19, 19, 20, 21, 22, 24, 25],
    },
  ];

  // Multiplication in the field of 256 elements, modulo x^8 + x^4 + x^3 + x^2 + 1.
  const POWERS = new Uint8Array(512);
  const LOGARITHMS = new Uint8Array(256);
  for (let power = 0, value = 1; power < 255; power++) {
    POWERS[power] = POWERS[power + 255] = value;
    LOGARITHMS[value] = power;
    value = (value << 1) ^ (value & 128 ? 0x11d : 0);
  }
  const multiply = (a, b) => (a && b ? POWERS[LOGARITHMS[a] + LOGARITHMS[b]] : 0);

  // The remainder of a block, which corrects its errors.
  function correction(data, length) {
    const generator = new Uint8Array(length + 1);
    generator[0] = 1;
    for (let power = 0; power < length; power++) {
      for (let i = power + 1; i > 0; i--) generator[i] ^= multiply(generator[i - 1], POWERS[power]);
    }
    const rest = new Uint8Array(length);
    for (const byte of data) {
      const factor = byte ^ rest[0];
      rest.copyWithin(0, 1);
      rest[length - 1] = 0;
      for (let i = 0; i < length; i++) rest[i] ^= multiply(generator[i + 1], factor);
    }
    return rest;
  }

  const alignmentCount = (version) => (version < 2 ? 0 : Math.floor(version / 7) + 2);

  // How many bytes fit into the modules that patterns leave free.
  function capacity(version) {
    let modules = (16 * version + 128) * version + 64;
    const count = alignmentCount(version);
    if (count) modules -= (25 * count - 10) * count - 55;
    if (version > 6) modules -= 36;
    return modules >> 3;
  }

  function alignments(version) {
    const count = alignmentCount(version);
    if (!count) return [];
    const last = version * 4 + 10;
    const step = version === 32 ? 26 : Math.ceil((version * 4 + 4) / (count * 2 - 2)) * 2;
    const places = [6];
    for (let i = count - 2; i >= 0; i--) places.push(last - i * step);
    return places;
  }

  // The smallest version that holds the bytes.
  function choose(length) {
    for (const level of LEVELS) {
      for (let version = 1; version <= 40; version++) {
        const room = capacity(version) - level.ecc[version - 1] * level.blocks[version - 1];
        if (4 + (version < 10 ? 8 : 16) + length * 8 <= room * 8) return { level, version, room };
      }
    }
    return null;
  }

  // Header, text and filling, divided into blocks, with their corrections, interleaved.
  function codewords(bytes, { level, version, room }) {
    const data = new Uint8Array(room);
    let position = 0;
    const put = (value, width) => {
      for (let bit = width - 1; bit >= 0; bit--, position++) data[position >> 3] |= ((value >> bit) & 1) << (7 - (position & 7));
    };
    put(4, 4);
    put(bytes.length, version < 10 ? 8 : 16);
    for (const byte of bytes) put(byte, 8);
    for (let at = Math.min((position + 4 + 7) >> 3, room), odd = true; at < room; at++, odd = !odd) data[at] = odd ? 0xec : 0x11;

    const blocks = level.blocks[version - 1];
    const ecc = level.ecc[version - 1];
    const short = Math.floor(room / blocks);
    const shorts = blocks - (room % blocks);
    const parts = [];
    for (let i = 0, start = 0; i < blocks; i++) {
      const part = data.subarray(start, start + short + (i < shorts ? 0 : 1));
      start += part.length;
      parts.push({ part, check: correction(part, ecc) });
    }
    const all = [];
    for (let i = 0; i <= short; i++) for (const { part } of parts) if (i < part.length) all.push(part[i]);
    for (let i = 0; i < ecc; i++) for (const { check } of parts) all.push(check[i]);
    return all;
  }

  const MASKS = [
    (x, y) => (x + y) % 2,
    (x, y) => y % 2,
    (x) => x % 3,
    (x, y) => (x + y) % 3,
    (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2,
    (x, y) => ((x * y) % 2) + ((x * y) % 3),
    (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2,
    (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
  ];

  // The remainder of a number of `width` bits behind which `degree` zeros stand.
  function remainder(value, degree, polynomial) {
    let rest = value;
    for (let i = 0; i < degree; i++) rest = (rest << 1) ^ ((rest >> (degree - 1)) * polynomial);
    return rest;
  }

  function draw(words, { level, version }) {
    const size = version * 4 + 17;
    const dark = Array.from({ length: size }, () => new Uint8Array(size));
    const fixed = Array.from({ length: size }, () => new Uint8Array(size));
    const set = (x, y, value) => {
      if (x < 0 || y < 0 || x >= size || y >= size) return;
      dark[y][x] = value ? 1 : 0;
      fixed[y][x] = 1;
    };
    for (let i = 0; i < size; i++) {
      set(6, i, i % 2 === 0);
      set(i, 6, i % 2 === 0);
    }
    const square = (cx, cy, radius, light) => {
      for (let dy = -radius; dy <= radius; dy++) {
        for (let dx = -radius; dx <= radius; dx++) set(cx + dx, cy + dy, !light.includes(Math.max(Math.abs(dx), Math.abs(dy))));
      }
    };
    for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]]) square(x, y, 4, [2, 4]);
    const places = alignments(version);
    const last = places.length - 1;
    places.forEach((x, i) => places.forEach((y, j) => {
      if (!((i === 0 && (j === 0 || j === last)) || (i === last && j === 0))) square(x, y, 2, [1]);
    }));
    if (version > 6) {
      const bits = (version << 12) | remainder(version, 12, 0x1f25);
      for (let i = 0; i < 18; i++) {
        const [a, b] = [size - 11 + (i % 3), Math.floor(i / 3)];
        set(a, b, (bits >> i) & 1);
        set(b, a, (bits >> i) & 1);
      }
    }
    const format = (mask) => {
      const value = (level.bits << 3) | mask;
      const bits = ((value << 10) | remainder(value, 10, 0x537)) ^ 0x5412;
      for (let i = 0; i < 15; i++) {
        const bit = (bits >> i) & 1;
        if (i < 6) set(8, i, bit);
        else if (i < 8) set(8, i + 1, bit);
        else if (i === 8) set(7, 8, bit);
        else set(14 - i, 8, bit);
        if (i < 8) set(size - 1 - i, 8, bit);
        else set(8, size - 15 + i, bit);
      }
      set(8, size - 8, 1);
    };
    format(0);
    let bit = 0;
    for (let right = size - 1, up = true; right > 0; right -= 2, up = !up) {
      if (right === 6) right = 5;
      for (let step = 0; step < size; step++) {
        const y = up ? size - 1 - step : step;
        for (const x of [right, right - 1]) {
          if (fixed[y][x]) continue;
          dark[y][x] = bit < words.length * 8 ? (words[bit >> 3] >> (7 - (bit & 7))) & 1 : 0;
          bit++;
        }
      }
    }
    const apply = (mask) => {
      for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) if (!fixed[y][x] && MASKS[mask](x, y) === 0) dark[y][x] ^= 1;
    };
    let best = { penalty: Infinity };
    for (let mask = 0; mask < 8; mask++) {
      apply(mask);
      format(mask);
      const found = penalty(dark, size);
      if (found < best.penalty) best = { penalty: found, mask };
      apply(mask);
    }
    apply(best.mask);
    format(best.mask);
    return { size, dark };
  }

  // How hard a code is to read, by the rules of the standard.
  function penalty(dark, size) {
    let sum = 0;
    let count = 0;
    for (const turned of [false, true]) {
      for (let a = 0; a < size; a++) {
        let line = '';
        for (let b = 0; b < size; b++) line += turned ? dark[b][a] : dark[a][b];
        for (const run of line.match(/0{5,}|1{5,}/g) || []) sum += run.length - 2;
        for (const pattern of ['10111010000', '00001011101']) {
          for (let at = line.indexOf(pattern); at >= 0; at = line.indexOf(pattern, at + 1)) sum += 40;
        }
      }
    }
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        count += dark[y][x];
        if (x && y && dark[y][x] + dark[y - 1][x] + dark[y][x - 1] + dark[y - 1][x - 1] === (dark[y][x] ? 4 : 0)) sum += 3;
      }
    }
    return sum + Math.floor(Math.abs(count * 20 - size * size * 10) / (size * size)) * 10;
  }

  // The modules of a text's code, or null if the text is too long for one.
  return (text) => {
    const bytes = new TextEncoder().encode(text);
    const chosen = choose(bytes.length);
    return chosen && draw(codewords(bytes, chosen), chosen);
  };
})();
