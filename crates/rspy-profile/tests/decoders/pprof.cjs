// What pprof-format reads of the file that is the last argument, as JSON; the first is the folder of pprof-format.
const { readFileSync } = require("node:fs");
const { gunzipSync } = require("node:zlib");
const [folder, file] = process.argv.slice(2);
const { Profile } = require(folder);

const profile = Profile.decode(gunzipSync(readFileSync(file)));
const text = (index) => {
    const found = profile.stringTable.strings[Number(index)];
    if (found === undefined) { throw new Error(`no text ${index}`); }
    return found;
};
const by_id = (items) => new Map(items.map((item) => [Number(item.id), item]));
const locations = by_id(profile.location);
const functions = by_id(profile.function);
const frame = (id) => {
    const [line] = locations.get(Number(id)).line;
    const called = functions.get(Number(line.functionId));
    return [text(called.name), text(called.filename), Number(called.startLine), Number(line.line)];
};
const labels = (sample) => sample.label.map((label) =>
    [text(label.key), Number(label.str) === 0 ? Number(label.num) : text(label.str)]);
const types = profile.sampleType.map((type) => `${text(type.type)}/${text(type.unit)}`);
console.log(JSON.stringify({
    types,
    period: Number(profile.period),
    duration: Number(profile.durationNanos),
    comments: profile.comment.map(text),
    samples: profile.sample.map((sample) => ({
        values: sample.value.map(Number),
        labels: Object.fromEntries(labels(sample)),
        frames: sample.locationId.map(frame).reverse(),
    })),
}));
