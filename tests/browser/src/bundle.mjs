/** Bundles under a name of their own: a version is uploaded once and never changes, so each run needs another application. */

import { readFile } from 'node:fs/promises';
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
const DEFLATED = 8;

/** Returns the files of a zip, by path. */
function unzip(zip) {
  const end = zip.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
  if (end < 0 || zip.readUInt32LE(end) !== END) throw new Error('the bundle is no zip');
  const files = new Map();
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left -= 1) {
    const [method, packed] = [zip.readUInt16LE(at + 10), zip.readUInt32LE(at + 20)];
    const [name, extra, comment] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset));
    const path = zip.toString('utf8', at + 46, at + 46 + name);
    const local = zip.readUInt32LE(at + 42);
    const begin = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const data = zip.subarray(begin, begin + packed);
    if (!path.endsWith('/')) files.set(path, method === DEFLATED ? inflateRawSync(data) : data);
    at += 46 + name + extra + comment;
  }
  return files;
}

/** The fields that an entry's two headers share. */
function facts(path, data, packed) {
  const head = Buffer.alloc(26);
  head.writeUInt16LE(20, 0);
  head.writeUInt16LE(DEFLATED, 4);
  head.writeUInt32LE(0x00210000, 6);
  head.writeUInt32LE(crc32(data), 10);
  head.writeUInt32LE(packed.length, 14);
  head.writeUInt32LE(data.length, 18);
  head.writeUInt16LE(Buffer.byteLength(path), 22);
  return head;
}

const number = (value) => {
  const four = Buffer.alloc(4);
  four.writeUInt32LE(value);
  return four;
};

/** Returns a zip of files. */
function zip(files) {
  const parts = [];
  const directory = [];
  let at = 0;
  for (const [path, data] of files) {
    const packed = deflateRawSync(data);
    const head = facts(path, data, packed);
    const local = Buffer.concat([number(LOCAL), head, Buffer.from(path), packed]);
    directory.push(number(ENTRY), Buffer.from([20, 0]), head, Buffer.alloc(10), number(at), Buffer.from(path));
    parts.push(local);
    at += local.length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(END, 0);
  end.writeUInt16LE(files.size, 8);
  end.writeUInt16LE(files.size, 10);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, list, end]);
}

/** Reads a bundle and gives its application another name and title. */
export async function renamed(file, name, title) {
  const files = unzip(await readFile(file));
  const manifest = files.get('app.json');
  if (!manifest) throw new Error(`${file} has no app.json at its root`);
  files.set('app.json', Buffer.from(JSON.stringify({ ...JSON.parse(manifest), name, title }, null, 2)));
  return zip(files);
}
