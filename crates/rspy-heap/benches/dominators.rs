//! How long the graph of a heap takes that is as large as one measured: 4.2 million objects, 5.3 million references.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rspy_heap::graph::{Components, Dominators, Graph, GraphBuilder, Paths};

/// The objects of a heap in the making: each with what it refers to.
#[derive(Default)]
struct Heap {
    references: Vec<Vec<u32>>,
}

impl Heap {
    /// A new object, to which `by` refers.
    fn object(&mut self, by: u32) -> u32 {
        let object = self.references.len() as u32;
        self.references.push(Vec::new());
        self.references[by as usize].push(object);
        object
    }

    fn refer(&mut self, by: u32, to: u32) {
        self.references[by as usize].push(to);
    }

    /// Objects as an allocator leaves them: every arena has a bit of everything, so that neighbours in a structure are
    /// none in memory.
    fn graph(self) -> (Graph, Vec<u32>) {
        const STRIDE: usize = 7_919;
        let count = self.references.len();
        assert!(!count.is_multiple_of(STRIDE), "every object gets a place of its own");
        let place = |object: u32| (object as usize * STRIDE % count) as u32;
        let mut by_place = vec![0; count];
        for object in 0..count as u32 {
            by_place[place(object) as usize] = object;
        }
        let mut builder = GraphBuilder::default();
        for &object in &by_place {
            builder.begin();
            builder.extend(self.references[object as usize].iter().map(|&to| place(to)));
        }
        (builder.finish(), vec![place(0)])
    }
}

/// Numbers that look random and are the same each time.
fn scatter(number: u32) -> u32 {
    number.wrapping_mul(2_654_435_761) >> 7
}

fn heap() -> (Graph, Vec<u32>) {
    let mut heap = Heap { references: vec![Vec::new()] };
    let shared: Vec<u32> = (0..10_000).map(|_| heap.object(0)).collect();

    let class = heap.object(0);
    let instances = heap.object(0);
    for number in 0..400_000 {
        let instance = heap.object(instances);
        heap.refer(instance, class);
        let fields = heap.object(instance);
        heap.object(fields);
        heap.refer(fields, shared[scatter(number) as usize % shared.len()]);
    }

    let by_key = heap.object(0);
    for number in 0..500_000 {
        heap.object(by_key);
        let value = heap.object(by_key);
        if number % 8 == 0 {
            heap.refer(value, by_key);
        }
    }

    let mut last = heap.object(0);
    for _ in 0..1_000_000 {
        let next = heap.object(last);
        if scatter(next).is_multiple_of(4) {
            heap.refer(next, last);
        }
        last = next;
    }

    let tree = heap.object(0);
    for number in 0..990_000 {
        let above = tree + number / 2;
        let node = heap.object(above);
        if scatter(number).is_multiple_of(8) {
            heap.refer(node, tree + scatter(number) % (number + 1));
        }
    }
    heap.graph()
}

fn benches(c: &mut Criterion) {
    let (graph, roots) = heap();
    println!("{} objects, {} references", graph.len(), graph.references());
    let sizes = vec![64; graph.len()];
    let types: Vec<u32> = (0..graph.len() as u32).map(|node| scatter(node) % 200).collect();
    let dominators = Dominators::new(&graph, &roots);

    let mut group = c.benchmark_group("heap");
    group.sample_size(10);
    group.bench_function("dominators", |b| b.iter(|| Dominators::new(black_box(&graph), &roots)));
    group.bench_function("retained", |b| b.iter(|| dominators.retained(black_box(&sizes))));
    group.bench_function("retained_by", |b| b.iter(|| dominators.retained_by(black_box(&types), &sizes)));
    group.bench_function("paths", |b| b.iter(|| Paths::from(black_box(&graph), &roots)));
    group.bench_function("components", |b| b.iter(|| Components::new(black_box(&graph))));
    group.bench_function("reversed", |b| b.iter(|| black_box(&graph).reversed()));
    group.finish();
}

criterion_group!(heaps, benches);
criterion_main!(heaps);
